"""What is packed ahead of time for the kernels of this set (armsrc/kernelset.py says what `pack` is).

A blob is a head, flags and bytes of what follows, and the stream that matmul.inc or depthwise_conv2d.S reads from end to end.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from armsrc.abi import Params
from armsrc.kernelset import Packed

from ..thumb2.packing import common
from . import affine

EXACT, SINGLE, PADDED, NARROW = 1, 2, 2, 4  # flags: of all, of matmul.inc, of the depthwise kernel, of what is packed for narrow.inc
QUAD, PAIR = 4, 2  # output channels


def pack(kernel: str, *params: Params) -> Packed | None:
    """The tables of a layer as its kernel wants them; None where they do not fit its arithmetic."""
    packer = PACKERS.get(kernel)
    return packer(*params) if packer else None


def _pack_conv(p: Params) -> Packed | None:
    weights = np.asarray(p["weights"])
    if weights.shape[1:3] == (1, 1) and not _padded(p, 1) and (made := _pack_narrow(p, weights[:, 0, 0], QUAD * p["stride_w"], "conv2d_s8")):
        return made
    columns = (p["out_w"] - 1) * p["stride_w"] + p["kernel_w"]
    scratch = 4 * columns * p["kernel_h"] * p["in_c"]
    return _pack_matmul(p, weights.transpose(0, 2, 1, 3).reshape(len(weights), -1), scratch)


def _pack_pointwise(kernel: str, p: Params) -> Packed | None:
    weights = np.asarray(p["weights"])
    return _pack_narrow(p, weights, QUAD - 1, kernel) or _pack_matmul(p, weights, 4 * p["in_c"])


def _pack_narrow(p: Params, weights: np.ndarray, most: int, kernel: str) -> Packed | None:
    """For narrow.inc, of weights (out_c, in_c) on pixels without neighbours. most: output channels for which it is the cheaper way."""
    out_c, in_c = weights.shape
    if out_c > most or in_c % 4:
        return None
    fours = weights.reshape(out_c, -1, 2, 2).transpose(0, 1, 3, 2)  # even and odd taps of four
    made = None if (fours == np.iinfo(np.int8).min).all(axis=3).any() else _records(p, weights)
    if made is None:
        return None
    flags, records = made
    both = fours[..., 1] + (fours[..., 0].astype(np.int64) << 16)
    stream = np.concatenate([both.reshape(out_c, -1), records], axis=1).ravel()
    return _blob([flags | NARROW, 4 * len(stream), 0], stream, in_c, {2: f"{kernel}.narrow"})


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
    groups = _groups(out_c)
    parts: dict[int, list[np.ndarray]] = {QUAD: [], PAIR: []}
    for (start, size), (after, _) in itertools.pairwise([*groups, (out_c, 0)]):
        channels = np.arange(start, start + size) % out_c
        parts[size] += _group(weights[channels].astype(np.int64), records[channels], after - start)
    quads, pairs = (np.concatenate([*parts[size], []]).astype(np.int64) for size in (QUAD, PAIR))
    return _blob([flags | SINGLE * (out_c == 1), 4 * len(quads), 4 * len(pairs)], np.concatenate([quads, pairs]), scratch)


def _groups(out_c: int) -> list[tuple[int, int]]:
    """(first channel, size): quads, then pairs, of which the last may begin in the one before."""
    quads, left = divmod(out_c, QUAD)
    groups = [(QUAD * n, QUAD) for n in range(quads)]
    if left == 3:
        return [*groups, (out_c - QUAD, QUAD)] if quads else [(0, PAIR), (1, PAIR)]
    return [*groups, (max(0, out_c - PAIR), PAIR)] if left else groups


def _group(w: np.ndarray, records: np.ndarray, step: int) -> list[np.ndarray]:
    """A group's part of the stream, of weights (channels, taps); step: bytes of y to the next one."""
    both = w[::2] + (w[1::2] << 16)  # (pairs of channels, taps)
    odd = both.shape[1] % 2
    by_two = both[:, odd:].reshape(len(both), -1, 2).transpose(1, 0, 2)  # taps by two, pairs of channels, taps
    return [both[:, :odd].ravel(), by_two.ravel(), records.ravel(), np.array([step])]


def _pack_depthwise(p: Params) -> Packed | None:
    kernel_h, kernel_w = p["kernel_h"], p["kernel_w"]
    if max(kernel_h, kernel_w) > 3:
        return None
    weights = np.zeros((3, 3, p["in_c"]), np.int8)  # smaller windows as 3x3
    weights[:kernel_h, :kernel_w] = p["weights"]
    weights = weights.reshape(9, -1).T
    made = _records(p, weights)
    if made is None:
        return None
    flags, records = made
    padded = _padded(p, 3)
    columns = (p["out_w"] - 1) * p["stride_w"] + 3
    stream = np.concatenate([weights, records], axis=1).ravel()
    return _blob([flags | PADDED * padded, 4 * len(stream)], stream, 3 * columns * p["in_c"] if padded else 0)


def _padded(p: Params, kernel: int) -> bool:
    """Whether a window of that size and height reaches over an edge."""
    return bool(p["pad_top"] or p["pad_left"]) or any((p[out] - 1) * p[stride] + kernel > p[size] for out, stride, size in (
        ("out_h", "stride_h", "in_h"), ("out_w", "stride_w", "in_w")))


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


def _blob(head: list[int], stream: np.ndarray, scratch: int, addresses: Mapping[int, str] = MappingProxyType({})) -> Packed:
    return Packed(common.words(np.concatenate([head, stream])), scratch, addresses)


PACKERS: dict[str, Callable[[Params], Packed | None]] = {
    "conv2d_s8": _pack_conv, "depthwise_conv2d_s8": _pack_depthwise,
    **{kernel: functools.partial(_pack_pointwise, kernel) for kernel in ("pointwise_conv2d_s8", "dense_s8")},
}
