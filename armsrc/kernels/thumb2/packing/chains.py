"""Packs layers for the matrix multiplication of chains.inc: words of two channels, fields 21 bits apart.

The kernel computes y = sat8((SMMLA(v, multiplier, addend)) >> shift), v being the sum without its bias, times 2^11
(of chunks: 2^9, of convolutions' 2^8), plus a delta in the bits below the sum. Multiplier, addend and delta are chosen so that every step of
the requantizer falls between the right two sums (linear.py): the delta is a fraction of the addend, whose unit alone would be too coarse.
Two channels share it, with opposite signs, but for chunks, where each has its own.

Where answers below the zero point occur, rounding half away from zero asks for a line a little lower there, which is bent: what SMMLA
leaves is the lower line's, and gets a lift of 2^shift / 2^(the requantizer's shift) where it is at least zero_point * 2^shift + lift, the
limit. Any place between the last step below the zero point and the first above it would do; this one has the lift in its lowest bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from armsrc.abi import Params
from armsrc.kernelset import Packed

from . import common, linear, matmul

FIELD, MOST = 21, 128  # bits from a field to the next; inputs of a chunk
_SIXTY_FOUR = 64  # inputs that begin with code of their own
_THREE, _HALF = 84, 21  # bytes of code of three inputs, and how many of these stand together
_COMMON = 17  # the shift of a single chunk whose first delta is not negative
# By the scale of the sums, the shifts of the code that ends a single chunk, or the last of several, of plain and of bent layers.
_SHIFTS = {11: {"only": (_COMMON, 20, 14), "bent_only": (19, 16, 12)}, 9: {"last": (19, 16, 13), "bent_last": (18, 16, 13, 12)},
           8: {"last": (18, 15, 12), "bent_last": (17, 15, 12)}}
_MARK = 1 << 31
_HALVES, _LIFT_BITS = 16, (8, 11)  # of lifts, where chains_ends.inc takes a byte, and from which shift on a half (chains_one.inc: 11 bits)
_SCALE, _CHUNKS_SCALES = 11, {"pointwise_conv2d_s8": 9, "conv2d_s8": 8}  # of a single chunk's sums, and of several chunks' by the kernel
_REACH = (1 << 20) - (1 << 13)  # what sums of a chunk stay below
_SURE = 63  # inputs whose sums fit, whatever their weights are
PIXELS, _CHANNELS = 3, 4  # of a tile


class Stream(NamedTuple):
    """What chain_begin and the groups read, the addresses in it, and the bytes of sums that wait between chunks."""

    words: list[np.ndarray]
    addresses: dict[int, str]
    sums: int


def pointwise(p: Params) -> Packed | None:
    """Pointwise layers whose requantizers are lines, where that takes fewer cycles than tiles.inc and pointwise_8.inc."""
    pixels, inputs, out_c = p["in_h"] * p["in_w"], p["in_c"], p["out_c"]
    parts, bent = chunks(np.asarray(p["weights"]).reshape(out_c, inputs)), common.is_signed(common.channels(p))
    if pixels < PIXELS or inputs <= 8 or cycles(pixels, parts, bent=bent) > matmul.cycles(pixels, inputs, out_c, doubled=bent):
        return None
    return packed(p, parts)


def packed(p: Params, parts: Sequence[np.ndarray]) -> Packed | None:
    """A pointwise layer. None where some requantizer is no line, or sums are too large."""
    found = stream(p, parts, "pointwise_conv2d_s8", left=p["in_h"] * p["in_w"] % PIXELS == 1)
    return common.packed("pointwise_conv2d_s8.chains", *found.words, scratch=found.sums, addresses=found.addresses) if found else None


def chunks(weights: np.ndarray) -> list[np.ndarray]:
    """Weights (out_c, inputs) as chunks of equal size but for the last: as few as their fields can hold, as far as fields can hold them."""
    inputs = weights.shape[1]
    sizes = (-(-inputs // number) for number in range(-(-inputs // MOST), inputs + 1))
    cuts = ([weights[:, at:at + size] for at in range(0, inputs, size)] for size in sizes)
    return next(filter(fits, cuts))  # up to _SURE inputs always fit


def fits(parts: Sequence[np.ndarray]) -> bool:
    """Whether the kernel takes chunks (out_c, inputs) of this size, and fields hold their sums."""
    size = parts[0].shape[1]
    return size <= _SURE or (size <= MOST and _largest(parts) <= _REACH)


def _largest(parts: Sequence[np.ndarray]) -> int:
    """The largest sum, of either sign, of a chunk."""
    return int(np.abs([common.reach(part, np.zeros(len(part), np.int64)) for part in parts]).max())


def cycles(pixels: int, parts: Sequence[np.ndarray], *, bent: bool) -> float:
    """About what these pixels take on the M4."""
    out_c, size = parts[0].shape
    tiles, left = divmod(pixels, PIXELS)
    groups, more, inputs = -(-out_c // _CHANNELS), len(parts) - 1, len(parts) * size
    tile = 9.3 * inputs + 100 * len(parts) + groups * (29 / 3 * inputs + 102 + 33 * bent + 133 * more)
    one = 3.5 * inputs + 100 * len(parts) + groups * (6.4 * inputs + 81 + 18 * bent + 60 * more)
    return (tiles + left // 2) * tile + left % 2 * one


def stream(p: Params, parts: Sequence[np.ndarray], kernel: str, *, left: bool) -> Stream | None:
    """parts: the weights of each chunk, int8 (out_c, inputs), in the order in which the words of inputs are made; the first is the largest.
    left: whether a pixel is left over."""
    size = parts[0].shape[1]
    weights = np.concatenate(parts, axis=1)
    none = np.zeros(len(weights), np.int64)
    reach = common.reach(weights, none)
    single, bent = len(parts) == 1, common.is_signed(common.channels(p))
    scale = _SCALE if single else _CHUNKS_SCALES[kernel]
    if _largest(parts) > _REACH or np.abs(reach).max() >= 1 << 31 - scale:
        return None
    end = ("bent_" if bent else "") + ("only" if single else "last")
    found = _requantization(p, weights, reach, scale, end)
    if found is None:
        return None
    shift, first, last = found
    mark = np.full((len(last), 1), _MARK)
    ends = [last] if single else [np.hstack([mark, first]), *[mark] * (len(parts) - 2), np.hstack([mark, last])]
    words = [np.concatenate([_products(part, size), behind], axis=1).ravel() for part, behind in zip(parts, ends, strict=True)]
    flags, rows = common.clamp(p)
    offset, names = _code(size, len(parts), end, shift, left=left)
    header = [0, offset, *[0] * 7, shift, flags, len(parts), size, parts[-1].shape[1]]
    addresses = {at: f"{kernel}.chains_{name}" for at, name in enumerate(names) if name}
    return Stream([common.words(header), *map(common.words, words), rows], addresses, 0 if single else 12 * 4 * len(last))


def _code(size: int, number: int, end: str, shift: int, *, left: bool) -> tuple[int, list[str]]:
    """Names of the code that the header's first words say, "" for none, and what is added to the second, which enters unrolled code.
    size: of a chunk. number: of chunks. end: of the last one."""
    threes = (size - 1) // 3
    more = threes > _HALF
    ends = ["first" if number > 1 else "", "middle" if number > 2 else ""]
    begins = [str(_SIXTY_FOUR if size == _SIXTY_FOUR else size - 3 * threes), "more" if more else "threes"]
    names = [*begins, *ends, "" if number == 1 and shift == _COMMON else f"{end}_{shift}"]
    names += ["one", *(name and f"one_{name}" for name in ends), f"one_{end}"] if left else []
    return _THREE * (_HALF * (1 + more) - threes), names


def _products(part: np.ndarray, size: int) -> np.ndarray:
    """(groups, words): of four channels, for each input the words of the first two and of the last two."""
    padded = np.zeros((len(part), size), np.int64)
    padded[:, :part.shape[1]] = part
    pairs = common.grouped(padded, _CHANNELS).reshape(-1, 2, 2, size)
    return (pairs[:, :, 0] + (pairs[:, :, 1] << FIELD)).transpose(0, 2, 1).reshape(len(pairs), -1)


def _requantization(p: Params, weights: np.ndarray, reach: tuple[np.ndarray, np.ndarray], scale: int,
                    end: str) -> tuple[int, np.ndarray, np.ndarray] | None:
    """The shift; words of the first and of the last (or only) chunk, (groups, words) each. end: how the last one does."""
    rq, bias = common.channels(p), common.folded_bias(p, weights)
    bent, single = end.startswith("bent"), end.endswith("only")
    for shift in _SHIFTS[scale][end]:
        lift = 1 << np.maximum(shift - rq.shift, 0) if bent else np.zeros_like(rq.shift)
        found = linear.spans(rq, reach, bias, scale, shift, lift) if lift.max() < 1 << _LIFT_BITS[shift >= _HALVES] else None
        negative = single and shift != _COMMON
        deltas = None if found is None else _deltas(found, np.arange(1 << scale) - (negative << scale), shared=single)
        if deltas is not None:
            delta, addend = deltas
            fields = [found.multiplier, addend, (rq.zero_point << shift) + lift][:3 if bent else 2]
            constants = common.grouped(np.stack(fields, axis=1), _CHANNELS)
            constants, delta = (values.reshape(len(constants), 2, -1) for values in (constants, delta))
            if single:
                return shift, np.zeros(0), np.concatenate([delta, constants], axis=2).reshape(len(constants), -1)
            return shift, delta.reshape(len(constants), -1), constants.reshape(len(constants), -1)
    return None


def _deltas(found: linear.Spans, tried: np.ndarray, *, shared: bool) -> tuple[np.ndarray, np.ndarray] | None:
    """Deltas of those tried, one for each two channels where they share it, else one a channel, filled up to four channels; and addends
    (out_c,). None where there are none."""
    signs = np.array([1, -1] if shared else [1])
    multiplier, least, most = (common.grouped(field, _CHANNELS).reshape(-1, len(signs), 1) for field in found)
    offset = tried * multiplier * signs[:, None]
    addend = -(offset - least >> 32)
    fits = ((addend << 32) + offset <= most).all(axis=1)
    if not fits.any(axis=1).all():
        return None
    first = fits.argmax(axis=1)
    chosen = np.take_along_axis(addend, first[:, None, None], axis=2)
    return tried[first], chosen.ravel()[:len(found.least)]
