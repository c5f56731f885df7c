"""The arithmetic of the kernel ABI once more, in plain Python integers and loops: slow, and nothing shared with kwsq."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np


def requantize(acc: int, multiplier: int, shift: int, zero_point: int, qmin: int, qmax: int) -> int:
    if shift < 0:
        acc = max(-(2**31), min(2**31 - 1, acc * 2**-shift))
    high = (acc * multiplier + 2**30) // 2**31
    exact = Fraction(high, 2 ** max(shift, 0))
    rounded = math.floor(abs(exact) + Fraction(1, 2)) * (-1 if exact < 0 else 1)
    return max(qmin, min(qmax, rounded + zero_point))


def positions(size: int, kernel: int, stride: int, padding: str) -> list[range]:
    """The input rows that each window covers; those outside [0, size) are padding."""
    if padding == "VALID":
        return [range(start, start + kernel) for start in range(0, size - kernel + 1, stride)]
    outputs = math.ceil(size / stride)
    before = max(0, (outputs - 1) * stride + kernel - size) // 2
    return [range(at * stride - before, at * stride - before + kernel) for at in range(outputs)]


def window_sums(x, w, b, zero_point, stride, padding, depthwise):
    """Accumulators (OH, OW, O) of one HWC image, as nested Python integers in an object array."""
    rows = positions(x.shape[0], w.shape[1], stride[0], padding)
    columns = positions(x.shape[1], w.shape[2], stride[1], padding)
    acc = np.zeros((len(rows), len(columns), len(w)), object)
    for (oy, ys), (ox, xs), o in ((r, c, o) for r in enumerate(rows) for c in enumerate(columns) for o in range(len(w))):
        total = int(b[o])
        for i, y in enumerate(ys):
            for j, z in enumerate(xs):
                if 0 <= y < x.shape[0] and 0 <= z < x.shape[1]:
                    pairs = [(x[y, z, o], w[o, i, j])] if depthwise else zip(x[y, z], w[o, i, j], strict=True)
                    total += sum((int(a) - zero_point) * int(weight) for a, weight in pairs)
        acc[oy, ox, o] = total
    return acc


def requantize_all(acc, table):
    out = np.zeros(acc.shape, np.int8)
    for at in np.ndindex(acc.shape):
        out[at] = requantize(acc[at], *(int(value) for value in table[at[-1] % len(table)]))
    return out


def window_max(x, pool, stride, padding):
    rows, columns = (positions(x.shape[axis], pool[axis], stride[axis], padding) for axis in (0, 1))
    out = np.zeros((len(rows), len(columns), x.shape[2]), np.int8)
    for oy, ys in enumerate(rows):
        for ox, xs in enumerate(columns):
            seen = [x[y, z] for y in ys for z in xs if 0 <= y < x.shape[0] and 0 <= z < x.shape[1]]
            out[oy, ox] = np.max(seen, axis=0)
    return out
