"""The cycles that the heads of the thumb2 kernels claim, against what the model prices for calls that differ in a size or two."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest

from armsrc.kernels.thumb2.packing import few, registers, taps
from armsrc.kernels.thumb2.packing.one import pixel_by_pixel as one_or_two
from tests.kernels.heads import (
    BENT,
    FULL,
    NARROW,
    NARROWER,
    RARE,
    RELU,
    Call,
    Calls,
    Claim,
    average,
    check,
    conv,
    dense,
    depthwise,
    fixed,
    planes,
    pointwise,
    pool,
    slope,
    slopes,
)

PACKED = {"requantizer": RELU, "packed": True}, {"requantizer": FULL, "packed": True}  # saturating, doubled


def matmul_claims() -> list[Claim]:
    """Of what is not packed: the slope in K of a block of two channels, for four pairs of pixels and for one pixel; then the block without its groups."""
    found = []
    eight = functools.partial(pointwise, 8)
    for (file, phrase), make, groups in (
            (("matmul.inc", "two pixels {} for 16 MACs"), eight, 4 * 4), (("matmul.inc", r"16 MACs \({} a MAC"), eight, 4 * 4 * 16),
            (("conv2d.S", "{} a MAC"), eight, 4 * 4 * 16), (("pointwise_conv2d.S", "not packed: {} a MAC"), eight, 4 * 4 * 16),
            (("matmul.inc", "one pixel {} for 8"), dense, 4), (("matmul.inc", r"for 8 \({} a MAC"), dense, 4 * 8),
            (("dense.S", "{} a MAC"), dense, 4 * 8), (("pointwise_conv2d.S", "odd last pixel: {} a MAC"), dense, 4 * 8)):
        found.append(Claim(file, phrase, slopes(make, (16, 32), (2, 4)), groups))
    for (file, phrase), make, units in (
            (("matmul.inc", "besides: {} for two pixels"), eight, 4), (("matmul.inc", r"two pixels \({} an output\)"), eight, 16),
            (("conv2d.S", "a MAC and {} an output"), eight, 16), (("pointwise_conv2d.S", "1.5 a MAC and {} an output"), eight, 16),
            (("matmul.inc", "{} for one"), dense, 1), (("matmul.inc", r"for one \({} an output\)"), dense, 2),
            (("pointwise_conv2d.S", "2.1 a MAC and {} an output"), dense, 2), (("dense.S", "{} an output beside"), dense, 2)):
        found.append(Claim(file, phrase, fixed(lambda n, c, make=make: make(c, n), (2, 4), (16, 32)), units))
    found += [Claim("matmul.inc", "{} for 4 of the K % 4 last", slopes(eight, (1, 3), (2, 4)), 4 * 2),
              Claim("matmul.inc", "{} for 2 of them", slopes(dense, (1, 3), (2, 4)), 2)]
    rare = slopes(lambda h, requantizer: pointwise(h, 16, 4, requantizer=requantizer), (4, 8), (FULL, RARE))
    found += [Claim(file, "rare {} an output more", rare, 4 * 4) for file in ("conv2d.S", "pointwise_conv2d.S", "matmul.inc")]
    rows = slopes(lambda n, per: dense(16, n, per_channel=per), (2, 4), (False, True))
    found += [Claim("dense.S", "{} a requantizer", rows, 2), Claim("requantize.inc", "{} cycles a row", rows, 2)]
    fill = fixed(dense, (16, 32), (2, 4))
    found += [Claim(file, "{} for four inputs", fill, 4) for file in ("dense.S", "pointwise_conv2d.S")]
    return found


def gather_claims() -> list[Claim]:
    """Eight windows without the block of two channels that multiplies each pair."""
    def windows(k: tuple[int, int], c: int) -> Calls:
        return fixed(lambda w, n: conv(1, w, c, n, k=k), (4, 12), (2, 4))

    row, pixel = windows((4, 2), 4) - windows((2, 4), 4), windows((1, 2), 4) + windows((1, 2), 4) - windows((2, 2), 4)
    group, tap = windows((2, 2), 12) - windows((2, 2), 4), windows((2, 2), 6) - windows((2, 2), 2)
    found = [
        Claim("conv2d.S", "{} for four taps", group, 8 * 4 * 2),
        Claim("gather.inc", "groups of four elements, {} cycles each", group, 8 * 4 * 2),
        Claim("conv2d.S", "or {} a tap", tap, 8 * 4 * 4), Claim("gather.inc", "element by element, {} cycles each", tap, 8 * 4 * 4),
        Claim("conv2d.S", "{} a kernel row", row, 8 * 2), Claim("gather.inc", "{} cycles a kernel row", row, 8 * 2),
        Claim("conv2d.S", "row and {} a pixel", pixel, 8), Claim("gather.inc", "{} a window", pixel, 8),
        Claim("gather.inc", "bytes: {}", windows((1, 2), 6) + windows((1, 2), 6) - windows((2, 2), 6), 8),
    ]
    for c, units, phrase in ((4, 2 * 2, "in the padding {} less. gather_bytes"), (5, 2 * 8, "in the padding {} less. Elements")):
        found.append(Claim("gather.inc", phrase, slopes(lambda n, pad: conv(1, 1, n, 2, k=(3, 1), pad_top=pad), (c, c + 8), (2, 0)), units))

    return found


def depthwise_claims() -> list[Claim]:
    """Of depthwise layers that are not packed."""
    relu = {"requantizer": RELU}
    inside = slope(lambda w: depthwise(3, w, 8, stride=2), 5, 9)
    return [
        Claim("depthwise_3x3.inc", "{} an output where no qmin < zero_point", slope(lambda w: depthwise(2, w, **relu), 8, 16), 2 * 8 * 4),
        Claim("depthwise_3x3.inc", "otherwise {} an output", slope(lambda w: depthwise(2, w), 8, 16), 2 * 8 * 4),
        Claim("depthwise_3x3.inc", "{} a row besides", fixed(depthwise, (2, 3), (8, 16)), 4),
        Claim("depthwise_3x3.inc", "{} a channel besides", fixed(lambda c, h: depthwise(h, 8, c), (8, 12), (2, 4)), 4),
        Claim("depthwise_conv2d.S", "{} cycles an output with a ReLU", slope(lambda w: depthwise(2, w, **relu), 8, 16), 2 * 8 * 4),
        Claim("depthwise_conv2d.S", "from x, {} cycles an output", inside, 3 * 4 * 8),
        Claim("depthwise_block.inc", "inside {} ", inside, 3 * 4 * 2),
        Claim("depthwise_block.inc", "{} an output, 4.1 a MAC", inside, 3 * 4 * 8),
        Claim("depthwise_block.inc", "else {} a tap", slopes(lambda w, k: depthwise(1, w, k=k), (4, 8), ((2, 4), (2, 8))), 4 * 8),
        Claim("depthwise_block.inc", "{} a kernel row", slopes(lambda w, k: depthwise(1, w, k=k), (4, 8), ((2, 4), (4, 2))), 4 * 2),
        Claim("depthwise_block.inc", "{} a pixel", fixed(lambda w, k: depthwise(1, w, k=k), (4, 8), ((1, 4), (2, 4))), 4),
    ]


def pool_claims() -> list[Claim]:
    def pairs(c: int) -> Calls:
        return slope(lambda w: pool(2, w, c, (2, 2)), 4, 8)

    flat = slope(lambda w: pool(2, w, 8, (2, 2), 2), 4, 8)
    return [
        Claim("max_pool2d.S", "{} for eight channels", slope(lambda c: pool(2, 8, c, (2, 2), 2), 16, 24), 2 * 8),
        Claim("max_pool2d.S", r"loop 3\), {} an output", slope(lambda c: pool(2, 8, c, (2, 2), 2), 16, 24), 2 * 8 * 8),
        Claim("max_pool2d.S", "an output, and {} a pixel", fixed(lambda w, c: pool(2, w, c, (2, 2)), (4, 8), (8, 16)), 2 * 4),
        Claim("max_pool2d.S", "else {} for four channels", slope(lambda c: pool(2, 8, c, (2, 2), 2), 4, 12), 2 * 8 * 2),
        Claim("max_pool2d.S", "in_c % 4 = 0, {} a pixel", pairs(4) + pairs(4) + pairs(4) - pairs(12), 2 * 4 * 2),
        Claim("max_pool2d.S", "4: {} an output and", slope(lambda c: pool(2, 8, c, (2, 2), 2), 1, 3), 2 * 8 * 2),
        Claim("max_pool2d.S", "General: {} for two taps of a word", slopes(lambda c, k: pool(2, 4, c, k), (4, 8), ((3, 4), (3, 6))), 2 * 4 * 3),
        Claim("max_pool2d.S", "{} a row of three", slopes(lambda c, k: pool(2, 4, c, k), (4, 8), ((3, 3), (5, 3))), 2 * 4 * 2),
        Claim("max_pool2d.S", r"\({} for 3x3\)", slope(lambda c: pool(2, 4, c, (3, 3)), 4, 8), 2 * 4),
        Claim("max_pool2d.S", "{} a pixel. Bit-exact", fixed(lambda w, c: pool(2, w, c, (3, 3)), (4, 8), (4, 8)), 2 * 4),
        Claim("max_pool2d.S", "stride 2: {} for two pixels", flat, 2 * 2), Claim("max_pool2d.S", r"loop 4\), {} an output", flat, 4 * 2 * 8),
        Claim("global_avg_pool2d.S", "one pixel: {} for 16 channels", slope(lambda c: average(1, c), 32, 64), 2),
        Claim("global_avg_pool2d.S", "sixteen: {} for eight pixels", slope(lambda n: average(n, 16), 16, 32), 2),
        Claim("global_avg_pool2d.S", "{} an input byte, and", slope(lambda n: average(n, 16), 16, 32), 16 * 16),
        Claim("global_avg_pool2d.S", "and {} a block", fixed(lambda c, n: average(n, c), (16, 32), (16, 32)), 1),
        Claim("global_avg_pool2d.S", "Else {} for two pixels", slope(average, 16, 32), 8),
        Claim("global_avg_pool2d.S", "{} a block, or", fixed(lambda c, n: average(n, c), (4, 8), (16, 32)), 1),
        Claim("global_avg_pool2d.S", "{} a run", slope(average, 512, 768) - slope(average, 1056, 1184) - slope(average, 1056, 1184), 1),
    ]


def clamp_claims() -> list[Claim]:
    return [
        Claim("requantize.inc", "All alike: {} cycles for eight bytes",
              slopes(lambda h, requantizer: pointwise(h, 4, 8, requantizer=requantizer), (4, 8), (FULL, NARROW)), 4),
        Claim("requantize.inc", "Varied: {} cycles a byte",
              slopes(lambda h, first: pointwise(h, 4, 8, per_channel=True, requantizer=NARROW if first else FULL, varied=first),
                     (4, 8), (None, NARROWER)), 4 * 8),
    ]


def planes_claims() -> list[Claim]:
    """Of packed depthwise layers: a third line of outputs and a fourth need the same bands. Stride 2: an output more of a column is a band more."""
    relu, bent, signed = (functools.partial(planes, requantizer=requantizer) for requantizer in (RELU, BENT, FULL))
    column = fixed(lambda w, h: relu(h, w), (10, 18), (2, 4))
    edge = slope(lambda w: depthwise(3, w, packed=taps.through_planes, requantizer=RELU), 10, 18) - slope(lambda w: relu(3, w), 10, 18)
    found = [Claim("depthwise_planes.inc", "{} for a column of a band", column, 8),
             Claim("depthwise_planes.inc", "lies outside {}", column + edge, 8)]
    def along(make: Callable[..., Call], c: int, widths: tuple[int, int] = (5, 9)) -> Calls:  # in a turn, more outputs in a line
        return slopes(lambda w, h: make(h, w, c=c), widths, (3, 4))

    for make, c, phrase in ((relu, 4, "Cycles: {} an output"), (relu, 64, "step 1; {} from"), (bent, 4, "bent {} or"), (bent, 8, "or {}, signed"), (signed, 4, "signed {}\\)")):
        found.append(Claim("depthwise_lines.inc", phrase, along(make, c), 4 * c))
    four = along(relu, 4)
    for pad, phrase in ((0, "{} a line"), (1, "padded {}\\)")):
        line = slope(lambda h, pad=pad: relu(h, 8, pad_left=pad), 3, 4)
        found.append(Claim("depthwise_lines.inc", phrase, line - four - four, 4))
    found.append(Claim("depthwise_lines.inc", "and {} a turn", along(relu, 4, (17, 21)) - four, 4))
    for make, phrase in ((relu, "{} an output"), (bent, r"bent {} or 14"), (signed, r"signed {}, ")):
        output = slopes(lambda w, h, make=make: make(h, w, stride=2), (7, 9), (2, 6)) - column - column
        found.append(Claim("depthwise_down.inc", phrase, output, 2 * 4 * 4))
    four = fixed(lambda w, h: relu(h, w), (10, 14), (2, 4))  # columns of a band
    besides = fixed(lambda h, w: relu(h, w, stride=2), (1, 3), (4, 8)) - four
    found.append(Claim("depthwise_down.inc", "{} a column besides", besides, 2 * 4))

    def wide(h: int, w: int = 4, kernel_w: int = 4, stride: int = 1) -> Call:  # windows of three bands
        return relu(h, w, k=(5, kernel_w), stride=stride)

    two = fixed(lambda w, h: relu(h, w), (10, 12), (2, 4))  # columns of a band
    read = slopes(lambda h, k: wide(h, kernel_w=k), (2, 4), (4, 6)) - two
    groups = slopes(wide, (2, 4), (4, 8)) - two - two - read - read
    return [*found, Claim("depthwise_windows.inc", "{} for four pairs of lines", read, 2 * 3 * 4), Claim("depthwise_windows.inc", "two\\), {} besides", groups, 2 * 4),
            Claim("depthwise_windows.inc", "stride 2: {} for two", slopes(lambda h, k: wide(h, kernel_w=k, stride=2), (2, 4), (4, 5)) - two, 2 * 3 * 4)]


def taps_claims() -> list[Claim]:
    """Of depthwise layers whose pixels are lists of taps: one pixel, whose window has k rows of two."""
    def one(k: int, c: int, requantizer: tuple[int, ...] = RELU) -> Call:
        return depthwise(1, 1, c, k=(k, 2), packed=taps.taps, requantizer=requantizer)

    pair = slopes(one, (2, 4), (4, 8))
    found = [Claim("depthwise_taps.inc", "{} for two taps", pair, 2), Claim("depthwise_taps.inc", r"channels \({} a MAC", pair, 2 * 8),
             Claim("depthwise_taps.inc", "{} a pass of eight", slopes(one, (8, 16), (4, 8)) - pair - pair - pair - pair, 1)]
    for requantizer, phrase in ((RELU, "a block {} besides"), (FULL, "doubled {}")):
        found.append(Claim("depthwise_taps.inc", phrase, fixed(lambda c, k, own=requantizer: one(k, c, own), (8, 16), (2, 4)), 2))
    pixels = slope(lambda w: depthwise(1, w, 4, k=(4, 2), packed=taps.taps, requantizer=RELU), 2, 4)
    blocks = slope(lambda c: depthwise(1, 1, c, k=(4, 2), packed=taps.taps, requantizer=RELU), 8, 12)
    return [*found, Claim("depthwise_taps.inc", "a pixel {}", pixels - blocks - blocks, 2)]


def one_channel_claims() -> list[Claim]:
    """Of packed convolutions with one input channel."""
    def walk(h: int, w: int, n: int, stride: int = 1, requantizer: tuple[int, ...] = RELU) -> Call:
        return conv(h, w, 1, n, stride=stride, requantizer=requantizer, packed=True)

    def tall(w: int, n: int, requantizer: tuple[int, ...] = RELU) -> Call:
        return conv(5, w, 1, n, k=(10, 4), stride=2, requantizer=requantizer, packed=True)

    def low(w: int, n: int, columns: int) -> Call:
        return conv(5, w, 1, n, k=(5, columns), requantizer=RELU, packed=True)

    def colours(w: int, n: int, stride: int) -> Call:
        return conv(5, w, 3, n, stride=stride, requantizer=RELU, packed=True)

    signed, signed_tall = functools.partial(walk, requantizer=FULL), functools.partial(tall, requantizer=FULL)
    found = [Claim(file, phrase, Calls([made(18, 18, n, stride)], []), 18 * 18 * n)
             for file, made in (("conv2d_walk.inc", walk), ("conv2d_walk_doubled.inc", signed)) for phrase, n, stride in (
                 ("{} an output of 18 x 18 x 8", 8, 1), ("{} of 18 x 18 x 64", 64, 1), ("with stride 2 {} and", 8, 2),
                 (r"stride 2 [\d.]+ and {}", 64, 2))]
    five = slopes(tall, (2, 4), (4, 8))
    return found + [
        Claim("conv2d_pairs.inc", "{} to build a pair", fixed(lambda w, n: walk(6, w, n), (10, 18), (16, 32)), 6 * 4),
        Claim("conv2d_pairs.inc", "else {}", fixed(lambda w, n: walk(1, w, n), (22, 30), (16, 32)), 4),
        Claim("conv2d_walk.inc", "way through scratch {}", slopes(lambda w, n: walk(1, w, n), (22, 30), (16, 24)), 4 * 8),
        Claim("conv2d_rows.inc", "way through scratch {}", slopes(lambda w, n: walk(6, w, n), (8, 10), (16, 24)), 6 * 8),
        Claim("conv2d_rows.inc", "18 outputs {} in all", slopes(lambda h, n: walk(h, 18, n), (3, 6), (16, 24)), 3 * 8),
        Claim("conv2d_rows.inc", "of 16 {}", slopes(lambda h, n: walk(h, 16, n), (3, 6), (16, 24)), 3 * 8),
        Claim("conv2d_walk.inc", "one output 11, {}", slopes(lambda w, n: walk(6, w, n, 2), (5, 9), (16, 24)), 6 * 4 * 8),
        Claim("conv2d_walk_doubled.inc", "way through scratch {}", slopes(lambda w, n: signed(6, w, n), (10, 18), (16, 24)), 6 * 4 * 8),
        Claim("conv2d_walk_doubled.inc", "one output 14, {}", slopes(lambda w, n: signed(6, w, n, 2), (5, 9), (16, 24)), 6 * 4 * 8),
        Claim("conv2d_tall.inc", "{} for five outputs of a filter", five, 2 * 4),
        Claim("conv2d_tall.inc", "doubled {}", slopes(signed_tall, (2, 4), (4, 8)), 2 * 4),
        Claim("conv2d_tall.inc", "Of 5 x 5 {}", slopes(functools.partial(low, columns=5), (2, 4), (4, 8)), 2 * 4),
        Claim("conv2d_tall.inc", r"Of 5 x 5 \d+ \({} a MAC", slopes(functools.partial(low, columns=5), (2, 4), (4, 8)), 2 * 4 * 5 * 25),
        Claim("conv2d_tall.inc", "of 5 x 4 {}", slopes(functools.partial(low, columns=4), (2, 4), (4, 8)), 2 * 4),
        *(Claim("conv2d_colours.inc", phrase, slopes(functools.partial(colours, stride=stride), (2, 4), (8, 16)), units)
          for stride in (1, 2) for phrase, units in ((f"{{}} with stride {stride}", 2 * 8), (rf"with stride {stride} \({{}} a MAC", 2 * 8 * 5 * 27))),
        Claim("conv2d_colours.inc", "five outputs {} besides", fixed(functools.partial(colours, stride=1), (2, 4), (8, 16)), 2),
        Claim("conv2d_colours.inc", "besides, or {}", fixed(functools.partial(colours, stride=2), (2, 4), (8, 16)), 2),
        Claim("conv2d_tall.inc", r"{} a MAC", five, 2 * 4 * 5 * 40),
        Claim("conv2d_tall.inc", "five outputs {} besides", fixed(tall, (2, 4), (4, 8)), 2),
    ]


def chain_claims() -> list[Claim]:
    """Of chains.inc: numbers of inputs that have the same prefix; 64 have one of their own."""
    three, bent = (functools.partial(pointwise, 3, requantizer=requantizer, packed=True) for requantizer in (RELU, FULL))

    def one(of: Callable[..., Calls], *sizes: tuple[int, int], turned: bool = False, requantizer: tuple[int, ...] = RELU) -> Calls:
        def layer(pixels: int) -> Calls:  # a pixel behind two tiles
            made = functools.partial(pointwise, pixels, requantizer=requantizer, packed=True)
            return of((lambda n, c: made(c, n)) if turned else made, *sizes)
        return layer(7) - layer(6)

    inputs = slopes(three, (24, 48), (8, 16))
    all_64, all_80, both, bent_64, bent_both = (slope(lambda n, make=make, c=c: make(c, n), 4, 8) for make, c in (
        (three, 64), (three, 80), (three, 160), (bent, 64), (bent, 160)))
    return [
        Claim("chains.inc", "{} for three inputs", inputs, 8 * 2), Claim("chains.inc", r"inputs \({} a MAC", inputs, 8 * 2 * 3 * 12),
        Claim("chains.inc", "{} besides", fixed(lambda n, c: three(c, n), (4, 8), (24, 48)), 1),
        Claim("chains.inc", r"besides \(bent {}", fixed(lambda n, c: bent(c, n), (4, 8), (24, 48)), 1),
        Claim("chains.inc", "64 inputs {} in all", all_64, 1), Claim("chains.inc", r"in all \(bent {}", bent_64, 1),
        Claim("chains.inc", "a second chunk of 80 {} more", both - all_80 - all_80, 1),
        Claim("chains.inc", "more, bent {} more", bent_both - all_80 - all_80, 1),
        Claim("chains.inc", "{} for four inputs", fixed(three, (24, 48), (8, 16)), 6),
        Claim("chains_one.inc", "{} for four inputs", one(slopes, (24, 48), (8, 16)), 6 * 2),
        Claim("chains_one.inc", r"inputs \({} a MAC", one(slopes, (24, 48), (8, 16)), 6 * 2 * 16),
        Claim("chains_one.inc", "{} besides", one(fixed, (8, 12), (24, 48), turned=True), 1),
        Claim("chains_one.inc", r"besides \(bent {}", one(fixed, (8, 12), (24, 48), turned=True, requantizer=FULL), 1),
        Claim("chains_one.inc", "{} for four inputs to widen", one(fixed, (24, 48), (8, 16)), 6),
    ]


def tile_claims() -> list[Claim]:
    """Four inputs and a pass of 32 (16) more are the least that tells a pass from the rest; 20 channels go through tiles."""
    saturating, doubled = PACKED
    found = []
    for pixels, name, inputs, lengths in ((4, "four pixels", 32, (68, 100)), (2, "two", 16, (36, 52)), (1, "one", 16, (36, 52))):
        own = functools.partial(pointwise, pixels)
        one = slopes(functools.partial(own, **saturating), lengths, (20, 40))
        found += [Claim("tiles.inc", f"{name}: {{}} a pass", one, 10),
                  Claim("tiles.inc", rf"{name}: [\d.]+ a pass of \d+ \({{}} a MAC", one, pixels * inputs * 20)]
        for more, phrase in ((saturating, r"{} \("), (doubled, r"[\d.]+ \({}\)")):
            rest = slope(lambda n, own=own, more=more, at=lengths[0]: own(at, n, **more), 20, 40) - one - one  # two passes
            found.append(Claim("tiles.inc", rf"{name}: [\d.]+ a pass of \d+ \([\d.]+ a MAC\) and {phrase}", rest, 10))
        fill = fixed(functools.partial(own, **saturating), (32, 64), (20, 40))
        found.append(Claim("tiles.inc", f"{{}} for four inputs of {name}", fill, 8))
    four = functools.partial(pointwise, 4)
    group = slopes(functools.partial(four, **saturating), (32, 64), (20, 40))
    found += [Claim("tile_64.inc", "{} for four inputs", group, 8 * 10), Claim("tile_64.inc", r"inputs \({} a MAC", group, 8 * 10 * 32)]
    for more, phrase in ((saturating, "{} besides"), (doubled, "doubled {}\\)")):
        found.append(Claim("tile_64.inc", phrase, fixed(lambda n, c, more=more: four(c, n, **more), (20, 40), (32, 64)), 10))
    return found


def eight_claims() -> list[Claim]:
    (saturating, doubled), found = PACKED, []
    own = saturating | {"per_channel": True, "varied": (1 << 30, 7, -128, -128, 127)}
    for more, said, other, copied in ((saturating, "alike {}", "in_c = 8: {}", "To copy: {}"), (own, "of their own {}", "", "of its own {}"),
                                      (doubled, "doubled {}", "doubled {}", "doubled {}")):
        outputs = slope(lambda h, more=more: pointwise(h, 8, 16, **more), 20, 40)
        slots = fixed(lambda n, h, more=more: pointwise(h, 8, n, **more), (4, 8), (10, 20))
        found += [Claim("pointwise_8.inc", f"{said} an output", outputs, 20 * 16), Claim("pointwise_8.inc", f"{copied} a slot", slots, 4)]
        if other:
            found.append(Claim("pointwise_conv2d.S", f"{other} an output", outputs, 20 * 16))
    return found


def dense_claims() -> list[Claim]:
    """Of packed layers."""
    far = {"packed": True, "requantizer": (1 << 30, 20, 3, -128, 127)}  # no line that dense_registers.inc would take
    five = slopes(functools.partial(dense, **far), (32, 64), (5, 10))
    found = [
        Claim("dense_packed.inc", "tile of five: {} for 32 inputs", five, 1), Claim("dense_packed.inc", r"32 inputs \({} a MAC", five, 32 * 5),
        Claim("dense_packed.inc", "{} for eight inputs", fixed(functools.partial(dense, **far), (32, 64), (5, 10)), 4),
    ]
    for per_channel, phrase in ((False, "{} besides"), (True, "{} where each channel")):
        tile = fixed(lambda n, c, own=per_channel: dense(c, n, per_channel=own, **far), (5, 10), (32, 64))
        found.append(Claim("dense_packed.inc", phrase, tile, 1))
    plain, bent = (functools.partial(dense, packed=registers.dense, requantizer=requantizer) for requantizer in (RELU, FULL))
    eights = slopes(plain, (40, 56), (48, 54))
    found += [
        Claim("dense_registers.inc", "{} for eight inputs", eights, 2), Claim("dense_registers.inc", r"inputs \({} a MAC", eights, 6 * 16),
        Claim("dense_registers.inc", "of four {}; with", slopes(plain, (40, 56), (46, 50)), 2),
        Claim("dense_registers.inc", "all besides {} and", slope(lambda n: plain(64, n), 48, 54), 1),
        Claim("dense_registers.inc", "all besides [0-9]+ and {}", slope(lambda n: plain(64, n), 46, 50), 1),
        Claim("dense_registers.inc", "bent {} and", slope(lambda n: bent(64, n), 48, 54), 1),
        Claim("dense_registers.inc", "bent [0-9]+ and {}", slope(lambda n: bent(64, n), 46, 50), 1),
        Claim("dense_registers.inc", "further block: a tile of six {}", slopes(plain, (128, 192), (48, 54)), 1),
        Claim("dense_registers.inc", "of four {}, and", slopes(plain, (128, 192), (46, 50)), 1),
        Claim("dense_registers.inc", "and {} to load it", slope(lambda c: plain(c, 48), 128, 192) - slopes(plain, (128, 192), (48, 96)), 1),
    ]
    plain, bent = (functools.partial(dense, packed=few.packed, requantizer=requantizer) for requantizer in (RELU, FULL))
    for phrase, c, n, calls in (("of eight {} for three", (16, 28), 8, 1), (r"words of x \({} a MAC", (16, 28), 8, 12 * 8),
                                ("of six {} for one", (16, 20), 6, 1), ("of four {} for two", (16, 24), 4, 1)):
        found.append(Claim("dense_few.inc", phrase, slope(lambda c, n=n: plain(c, n), *c), calls))
    for shared, own, make, requantizer in ((": alike {}", "plain {}", plain, RELU), ("bent_alike {}", " bent {}", bent, FULL)):
        varied = {"per_channel": True, "varied": (requantizer[0] + 2, *requantizer[1:])}
        for phrase, more in ((shared, {}), (own, varied)):
            tile = fixed(lambda n, c, make=make, more=more: make(c, n, **more), (8, 16), (12, 24))
            found.append(Claim("dense_few_ends.inc", phrase, tile, 1))
    found.append(Claim("dense_two.inc", "32 inputs: {} ", slope(lambda c: plain(c, 2), 64, 96), 1))
    found.append(Claim("dense_two.inc", r"\({} a MAC", slope(lambda c: plain(c, 2), 64, 96), 64))
    plain, bent = (functools.partial(dense, packed=True, requantizer=requantizer) for requantizer in (RELU, FULL))
    for n, phrase in ((1, "one output {} "), (2, "two {} ")):
        found.append(Claim("dense_one.inc", phrase, slope(lambda c, n=n: plain(c, n), 33, 97), 2))
        found.append(Claim("dense_one.inc", rf"{phrase.format('[0-9]+')}\({{}} a MAC", slope(lambda c, n=n: plain(c, n), 33, 97), 2 * 32 * n))
    return found


def narrow_claims() -> list[Claim]:
    (saturating, doubled), found = PACKED, []
    for n, phrase in ((1, "one output {} "), (2, "two {} ")):
        def pixels(w: int, c: int, n: int = n) -> Call:
            return conv(1, w, c, n, k=(1, 1), packed=one_or_two, requantizer=RELU)

        found += [Claim("pixels_one.inc", phrase, slopes(pixels, (4, 8), (64, 128)), 2 * 4),
                  Claim("pixels_one.inc", "besides: one output {}" if n == 1 else "besides: one output [0-9.]+, two {}", fixed(pixels, (4, 8), (64, 128)), 4)]
    for n, pixels, name, pass_of in ((2, (4, 6), "two channels", 32 * 4), (1, (8, 12), "one channel", 32 * 4)):
        block = slopes(lambda c, h, n=n: pointwise(h, c, n, **saturating), (36, 68), pixels)
        found += [Claim("pointwise_narrow.inc", f"{name}: {{}} a pass", block, 1),
                  Claim("pointwise_narrow.inc", rf"{name}: \d+ a pass of 32 inputs \({{}} a MAC", block, pass_of)]
        for more, phrase in ((saturating, r"{} \("), (doubled, r"\d+ \({}\)")):
            rest = slope(lambda h, n=n, more=more: pointwise(h, 36, n, **more), *pixels) - block
            found.append(Claim("pointwise_narrow.inc", rf"{name}: \d+ a pass of 32 inputs \([\d.]+ a MAC\) and {phrase}", rest, 1))
        for more, phrase in ((saturating, r"{} \("), (doubled, r"\d+ \({}\)")):
            four = slope(lambda h, n=n, more=more: pointwise(h, 4, n, **more), *pixels)
            found.append(Claim("pointwise_narrow.inc", ("a block takes " if n == 2 else r"a block takes \d+ \(\d+\), ") + phrase, four, 1))
    found.append(Claim("pointwise_narrow.inc", "and {} a part", fixed(lambda n, h: pointwise(h, 36, n, **saturating), (2, 4), (4, 8)), 1))
    return found


def convolution_claims() -> list[Claim]:
    """Of packed layers of many channels."""
    saturating, _ = PACKED

    def row(n: int) -> Calls:  # of four pixels, with the tiles of n channels
        return slopes(lambda w, h: conv(1, w, 4, n, k=(h, 1), **saturating), (4, 8), (4, 8))

    chain = functools.partial(conv, 1, c=32, packed=True)
    left_over = fixed(lambda w, n: conv(1, w, 3, n, **saturating), (4, 8), (2, 4))
    return [
        Claim("conv_chains.inc", "{} for each four filters", slopes(lambda w, n: chain(w, out_c=n, requantizer=RELU), (6, 9), (32, 64)), 8),
        Claim("conv_chains.inc", r"filters \({} a MAC", slopes(lambda w, n: chain(w, out_c=n, requantizer=RELU), (6, 9), (32, 64)), 8 * 288 * 12),
        Claim("conv_chains.inc", "bent {}", slopes(lambda w, n: chain(w, out_c=n, requantizer=FULL), (6, 9), (32, 64)), 8),
        Claim("conv_chains.inc", "{} besides", fixed(lambda w, n: chain(w, out_c=n, requantizer=RELU), (6, 9), (32, 64)), 1),
        Claim("conv_tiles.inc", "{} a kernel row of four taps", row(2) + row(2) - row(4), 4),
        Claim("conv_tiles.inc", "3x3 on three channels {} in all", left_over, 1),
    ]


GROUPS = (
    matmul_claims, gather_claims, depthwise_claims, pool_claims, clamp_claims, planes_claims, taps_claims, one_channel_claims,
    chain_claims, tile_claims, eight_claims, dense_claims, narrow_claims, convolution_claims)


@pytest.mark.parametrize("claim", [claim for claims in GROUPS for claim in claims()], ids=lambda claim: f"{claim.file}: {claim.phrase}")
def test_a_head_says_what_the_model_prices(claim: Claim) -> None:
    check(claim)
