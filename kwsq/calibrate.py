"""From a float network and some inputs to the int8 network: post-training quantization, and the command that makes an untrained model.

Activations are asymmetric int8 per tensor, fitted to what observers saw; depthwise weights symmetric per channel, all other
weights symmetric per tensor; biases int32 of scale input * weight. An activation function becomes qmin and qmax of its layer, so
a ReLU's qmin is its output's zero point. Pools keep scale and zero point. (Jacob et al. 2018; TensorFlow Lite's int8
specification, but for one scale per tensor where the kernels need no table.)
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import numpy as np

from kwsq import features, float_reference, kws, model, reference
from kwsq.errors import InputError
from kwsq.layers import (
    NO_LIMIT,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    GlobalAvgPool2D,
    Layer,
    MaxPool2D,
    Network,
    PointwiseConv2D,
    QConv2D,
    QDense,
    QDepthwiseConv2D,
    QGlobalAvgPool2D,
    QMaxPool2D,
    QPointwiseConv2D,
)
from kwsq.quantize import (
    AffineParams,
    PercentileObserver,
    RangeObserver,
    Requantizer,
    affine_params_asymmetric,
    affine_params_symmetric,
    build_requantizer,
    per_channel_symmetric_scales,
    quantize_buffer,
)

Observer = RangeObserver | PercentileObserver

_INT8: dict[type[Layer], type[Layer]] = {Conv2D: QConv2D, DepthwiseConv2D: QDepthwiseConv2D, PointwiseConv2D: QPointwiseConv2D,
                                         Dense: QDense}
_INT32_MAX = 2**31 - 1


def quantize_network(network: Network, inputs: np.ndarray, observer: Callable[[], Observer] = RangeObserver) -> Network:
    """The int8 network of a float one, calibrated with `inputs`: int8 features (N, H, W, C).

    A layer's name gets a q in front. ValueError when a layer cannot be had in int8, say since its weights dwarf its output.
    """
    params = AffineParams(network.input_scale, network.input_zero_point)
    ranges = observe(network, network.input_array(inputs), observer)
    quantized = []
    for layer, seen in zip(network, ranges, strict=True):
        made, params = _quantize_layer(layer, params, seen)
        quantized.append(made)
    return Network(name=network.name, layers=tuple(quantized), labels=network.labels, trained=network.trained,
                   input_scale=network.input_scale, input_zero_point=network.input_zero_point,
                   output_scale=params.scale, output_zero_point=params.zero_point)


def observe(network: Network, x: np.ndarray, observer: Callable[[], Observer] = RangeObserver) -> list[tuple[float, float]]:
    """(min, max), as the observer sees it, of every layer's output for a batch x of float32 inputs."""
    ranges = []
    for output in float_reference.run(network, x):
        watching = observer()
        watching.observe(output)
        ranges.append(watching.range())
    return ranges


def _quantize_layer(layer: Layer, at_input: AffineParams, seen: tuple[float, float]) -> tuple[Layer, AffineParams]:
    """The int8 layer, and what its output stands for."""
    common = {"name": f"q{layer.name}", "input_shape": layer.input_shape}
    if isinstance(layer, MaxPool2D):
        return QMaxPool2D(**common, pool=layer.pool, stride=layer.stride, padding=layer.padding), at_input
    if isinstance(layer, GlobalAvgPool2D):
        return QGlobalAvgPool2D(**common), at_input
    if isinstance(layer, Conv2D | DepthwiseConv2D):
        common |= {"stride": layer.stride, "padding": layer.padding}
    at_output = affine_params_asymmetric(*seen)
    weights, bias, scales = quantize_weights(layer, at_input.scale)
    limits = activation_limits(layer.act_min, layer.act_max, at_output)
    requantizer = _representable(build_requantizer(at_input.scale, scales, at_output.scale, at_output.zero_point, *limits))
    return _INT8[type(layer)](**common, weights=weights, bias=bias, input_zero_point=at_input.zero_point,
                              requantizer=requantizer), at_output


def quantize_weights(layer: Layer, input_scale: float) -> tuple[np.ndarray, np.ndarray, float | np.ndarray]:
    """(int8 weights in [-127, 127], int32 bias, scale of the weights: one, or float32 (channels,) for depthwise)."""
    if isinstance(layer, DepthwiseConv2D):
        scales = per_channel_symmetric_scales(layer.weights, 127)
        spread = scales.reshape(-1, 1, 1)
    else:
        scales = spread = affine_params_symmetric(layer.weights.min(), layer.weights.max(), 127).scale
    weights = quantize_buffer(layer.weights, spread, 0, -127, 127)
    bias = quantize_buffer(layer.bias, np.float32(input_scale) * np.asarray(scales, np.float32), 0, -_INT32_MAX, _INT32_MAX)
    return weights, bias, scales


def activation_limits(act_min: float, act_max: float, at_output: AffineParams) -> tuple[int, int]:
    """(qmin, qmax) that clamp to [act_min, act_max]; no limit (NO_LIMIT and beyond) is the end of int8."""
    low = -128 if act_min <= -NO_LIMIT else int(quantize_buffer(act_min, at_output.scale, at_output.zero_point, -128, 127))
    high = 127 if act_max >= NO_LIMIT else int(quantize_buffer(act_max, at_output.scale, at_output.zero_point, -128, 127))
    return low, high


def _representable(rq: Requantizer) -> Requantizer:
    """A ratio below 2^-32 takes every accumulator to 0, which the kernels are told as multiplier 0 (shift ends at 31)."""
    vanishes = np.asarray(rq.shift) > 31
    multiplier, shift = np.where(vanishes, 0, rq.multiplier), np.where(vanishes, 0, rq.shift)
    return Requantizer(multiplier, shift, rq.zero_point, rq.qmin, rq.qmax)


def shipped_inputs() -> np.ndarray:
    """int8 (10, 20, 20, 1): the ten words that come with the project, in the order of the labels."""
    return np.stack([features.load_input(word)[0] for word in kws.LABELS])


def untrained_model(seed: int = 0, observer: Callable[[], Observer] = RangeObserver) -> list[Network]:
    """[float network of seeded random weights, its int8 network calibrated with the shipped words]."""
    network = kws.float_network(kws.random_weights(seed), trained=False)
    return [network, quantize_network(network, shipped_inputs(), observer)]


def _summary(float_network: Network, int8_network: Network) -> list[str]:
    """One line a layer: the range that the int8 output spans, and its largest distance from the float network's output."""
    inputs = shipped_inputs()
    exact = float_reference.run(float_network, float_network.input_array(inputs))
    lines = [f"{'layer':<20} {'float output':>20} {'int8 output':>14}"]
    for layer, want, got in zip(int8_network, exact, reference.run(int8_network, inputs), strict=True):
        lines.append(f"{layer.name:<20} {f'{want.min():.3f} .. {want.max():.3f}':>20} {f'{got.min()} .. {got.max()}':>14}")
    logits = int8_network.output_values(got)
    agree = int((logits.argmax(axis=1) == want.argmax(axis=1)).sum())
    return [*lines, f"logits differ by at most {np.abs(logits - want).max():.3f}, the winner is the same for {agree} of {len(inputs)}"]


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**32 - 1), help="Seed of the random weights.")
@click.option("--percentiles", nargs=2, type=click.FloatRange(0, 100), metavar="LOW HIGH",
              help="Fit activations to these percentiles, say 0.05 99.95, instead of to the smallest and largest value.")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="Model file to write.")
def main(seed: int, percentiles: tuple[float, float] | None, out: Path) -> None:
    """Make an untrained int8 keyword-spotting network from a float one and the ten shipped words, and write both to a file.

    The float network has seeded random weights: the words that it names mean nothing. (The shipped model is trained, and made by
    python -m kwsq.train.) The same seed gives the same file, byte for byte. Prints, for every layer, the ranges of its float and its int8 outputs, and how far the
    int8 network strays from the float one.

    Exit status: 0 done, 1 the model cannot be made or written, 2 wrong usage.
    """
    try:
        networks = untrained_model(seed, (lambda: PercentileObserver(*percentiles)) if percentiles else RangeObserver)
        model.save(out, networks)
    except (InputError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    click.echo("\n".join(_summary(*networks)))
    click.echo(f"wrote {out}: {networks[1].macs} MACs, {sum(layer.weight_bytes for layer in networks[1])} bytes of weights, untrained")


if __name__ == "__main__":
    main()
