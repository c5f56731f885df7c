"""The keyword-spotting network: its six layers, in float32, from their weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kwsq import features
from kwsq.layers import Conv2D, Dense, DepthwiseConv2D, GlobalAvgPool2D, MaxPool2D, Network, PointwiseConv2D

LABELS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")

# of the pointwise layer: the average behind it keeps its int8 grid, and a few high peaks would leave the average few steps of it
CEILING = 6.0

# layer -> shape of its weights, in the order of the network; OHWI, CHW, OI, OI
WEIGHTS: dict[str, tuple[int, ...]] = {
    "conv2d_3x3_8": (8, 3, 3, 1),
    "dwconv2d_3x3": (8, 3, 3),
    "pwconv2d_8x16": (16, 8),
    "dense_16x10": (10, 16),
}


def random_weights(seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Layer -> (weights, bias), float32, normal with deviation sqrt(2 / taps) (He et al. 2015) and 0.1.

    RandomState's streams are frozen by NumPy, so a seed means the same numbers in every version.
    """
    random = np.random.RandomState(seed)
    weights = {}
    for name, shape in WEIGHTS.items():
        deviation = np.sqrt(2 / np.prod(shape[1:]))
        weights[name] = (random.normal(0, deviation, shape).astype(np.float32), random.normal(0, 0.1, shape[0]).astype(np.float32))
    return weights


def float_network(weights: Mapping[str, tuple[np.ndarray, np.ndarray]], trained: bool) -> Network:
    """20x20x1 features to ten logits: conv 3x3, max pool 2x2, depthwise 3x3, pointwise, global average, dense; VALID.

    A ReLU stands behind the convolution, one that ends at CEILING behind the pointwise layer, none behind the depthwise layer,
    where it costs accuracy.

    `weights`: layer -> (weights, bias) of the shapes in WEIGHTS, float32. ValueError when one is missing or has another shape.
    """
    for name, shape in WEIGHTS.items():
        if name not in weights or weights[name][0].shape != shape:
            raise ValueError(f"weights of {name} must have the shape {shape}")

    def tensors(name: str) -> dict[str, np.ndarray]:
        return {"name": name, "weights": weights[name][0], "bias": weights[name][1]}

    layers = (
        Conv2D(**tensors("conv2d_3x3_8"), input_shape=features.SHAPE, act_min=0.0),
        MaxPool2D(name="maxpool2d_2x2", input_shape=(18, 18, 8), pool=(2, 2), stride=(2, 2)),
        DepthwiseConv2D(**tensors("dwconv2d_3x3"), input_shape=(9, 9, 8)),
        PointwiseConv2D(**tensors("pwconv2d_8x16"), input_shape=(7, 7, 8), act_min=0.0, act_max=CEILING),
        GlobalAvgPool2D(name="global_avgpool2d", input_shape=(7, 7, 16)),
        Dense(**tensors("dense_16x10"), input_shape=(16,)),
    )
    return Network(name="kws", layers=layers, labels=LABELS, trained=trained,
                   input_scale=features.SCALE, input_zero_point=features.ZERO_POINT)
