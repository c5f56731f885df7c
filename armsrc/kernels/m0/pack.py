"""What is packed ahead of time for the kernels of this set (armsrc/kernelset.py says what `pack` is).

A blob is two words, flags and bytes of the stream, and the stream: matmul.inc and depthwise_3x3.inc say in which order they read it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from armsrc.abi import Params
from armsrc.kernelset import Packed

from ..thumb2.packing import common
from . import affine

EXACT = 1  # flag; above it out_c, where that is less than a quad
QUAD = 4  # output channels


def pack(kernel: str, *params: Params) -> Packed | None:
    """The tables of a layer as its kernel wants them; None where they do not fit its arithmetic."""
    packer = PACKERS.get(kernel)
    return packer(*params) if packer else None


def _pack_conv(p: Params) -> Packed | None:
    weights = np.asarray(p["weights"])
    columns = (p["out_w"] - 1) * p["stride_w"] + p["kernel_w"]
    scratch = 4 * columns * p["kernel_h"] * p["in_c"]
    return _pack_matmul(p, weights.transpose(0, 2, 1, 3).reshape(len(weights), -1), scratch)


def _pack_pointwise(p: Params) -> Packed | None:
    return _pack_matmul(p, np.asarray(p["weights"]), 4 * p["in_c"])


def _pack_matmul(p: Params, weights: np.ndarray, scratch: int) -> Packed | None:
    """weights: (out_c, taps), in the order of the column."""
    pairs = weights[:, weights.shape[1] % 2:].reshape(len(weights), -1, 2)
    if (pairs == np.iinfo(np.int8).min).all(axis=2).any():
        return None  # the sum of both products may be 2^15; symmetric quantization has no -128
    made = _records(p, weights)
    if made is None:
        return None
    flags, records = made
    out_c = len(weights)
    starts = [*range(0, out_c - QUAD + 1, QUAD), *([out_c - QUAD] if out_c % QUAD and out_c > QUAD else [])] or [0]
    steps = [after - start for start, after in itertools.pairwise([*starts, out_c])]
    if out_c < QUAD:
        flags |= out_c << 1
    stream = [part for start, step in zip(starts, steps, strict=True)
              for part in _quad(weights.astype(np.int64), records, np.arange(start, start + QUAD) % out_c, step)]
    return _blob(flags, stream, scratch)


def _quad(weights: np.ndarray, records: np.ndarray, channels: np.ndarray, step: int) -> list[np.ndarray]:
    """A quad's part of the stream; step: bytes of y to the next one."""
    w = weights[channels]
    both = np.stack([w[0] + (w[1] << 16), w[2] + (w[3] << 16)])  # (2, taps)
    odd = both.shape[1] % 2
    by_pair = both[:, odd:].reshape(2, -1, 2).transpose(1, 0, 2)  # pairs of taps, pairs of channels, taps
    return [both[:, :odd].ravel(), by_pair.ravel(), records[channels].ravel(), np.array([step])]


def _pack_depthwise(p: Params) -> Packed | None:
    if (p["kernel_h"], p["kernel_w"]) != (3, 3):
        return None
    weights = np.asarray(p["weights"]).reshape(9, -1).T
    made = _records(p, weights)
    if made is None:
        return None
    flags, records = made
    padded = p["pad_top"] or p["pad_left"] or any((p[out] - 1) * p[stride] + 3 > p[size] for out, stride, size in (
        ("out_h", "stride_h", "in_h"), ("out_w", "stride_w", "in_w")))
    columns = (p["out_w"] - 1) * p["stride_w"] + 3
    return _blob(flags | bool(padded) << 1, [np.concatenate([weights, records], axis=1).ravel()], 3 * columns * p["in_c"] if padded else 0)


def _records(p: Params, weights: np.ndarray) -> tuple[int, np.ndarray] | None:
    """(flags, the words of every channel's requantization (out_c, 4 or 7)), the plain form if it serves all channels."""
    rq, bias = common.channels(p), common.folded_bias(p, weights)
    reach = common.reach(weights, bias)
    found = [affine.solve(rq, channel) for channel in range(len(weights))]
    if None not in found:
        last, span, scale, offset = np.array(found, np.int64).T
        if all(abs(end - last).max() < 1 << 31 for end in reach):
            return 0, np.stack([bias - last, span, scale, offset], axis=1)
    if (rq.shift < 1).any() or any(abs(end).max() >= 1 << 29 for end in reach):
        return None
    return EXACT, np.stack([bias, rq.multiplier & 0xFFFF, rq.multiplier >> 16, *rq[1:]], axis=1)


def _blob(flags: int, stream: list[np.ndarray], scratch: int) -> Packed:
    words = np.concatenate(stream)
    return Packed(common.words(np.concatenate([[flags, 4 * len(words)], words])), scratch)


PACKERS: dict[str, Callable[[Params], Packed | None]] = {
    "conv2d_s8": _pack_conv, "depthwise_conv2d_s8": _pack_depthwise, "pointwise_conv2d_s8": _pack_pointwise, "dense_s8": _pack_pointwise,
}
