"""Where the windows of a convolution or pool lie: output sizes, padding, and the views of an input that they see."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

Padding = str | tuple[tuple[int, int], tuple[int, int]]


class Windows(NamedTuple):
    """Output size, and rows and columns of padding; `bottom` and `right` are negative where input is left unused."""

    out_h: int
    out_w: int
    top: int
    bottom: int
    left: int
    right: int


def windows(size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], padding: Padding) -> Windows:
    """Place `kernel` windows (h, w) on an input of `size` (h, w).

    padding "VALID" is none; "SAME" gives ceil(size / stride) outputs and, where the padding is odd, one less before than behind
    (TensorFlow's rule); ((top, bottom), (left, right)) is explicit, with top < kernel height, left < kernel width, every window
    touching the input. ValueError for anything else.
    """
    for name, pair in (("kernel", kernel), ("stride", stride)):
        if len(pair) != 2 or any(value < 1 for value in pair):
            raise ValueError(f"{name} {tuple(pair)} must be two sizes of at least 1")
    if isinstance(padding, str):
        if padding not in ("VALID", "SAME"):
            raise ValueError(f"padding {padding!r} must be 'VALID', 'SAME' or ((top, bottom), (left, right))")
        pads = [_same(*axis) if padding == "SAME" else (0, 0) for axis in zip(size, kernel, stride, strict=True)]
    else:
        pads = [tuple(pair) for pair in padding]
        if len(pads) != 2 or any(len(pair) != 2 for pair in pads):
            raise ValueError(f"padding {padding!r} must be 'VALID', 'SAME' or ((top, bottom), (left, right))")
    out = [_outputs(*axis) for axis in zip(size, kernel, stride, pads, strict=True)]
    return Windows(out[0], out[1], *pads[0], *pads[1])


def _same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _outputs(size: int, kernel: int, stride: int, pad: tuple[int, int]) -> int:
    before, after = pad
    if not 0 <= before < kernel:
        raise ValueError(f"padding of {before} before must be at least 0 and less than the kernel's {kernel}")
    padded = size + before + after
    if kernel > padded:
        raise ValueError(f"a kernel of {kernel} does not fit an input of {padded} with its padding")
    out = (padded - kernel) // stride + 1
    if (out - 1) * stride - before >= size:
        raise ValueError(f"padding of {after} behind puts the last window outside the input")
    return out


def vectors(x: np.ndarray) -> tuple[np.ndarray, bool]:
    """x as (N, I), flattened as a dense layer sees it, and whether it was one input: (I,) or HWC, not (N, I) or NHWC."""
    if x.ndim not in (1, 2, 3, 4):
        raise ValueError(f"x has the shape {x.shape}, expected (I,), (N, I), (H, W, C) or (N, H, W, C)")
    single = x.ndim in (1, 3)
    return (x.reshape(1, -1) if single else x.reshape(len(x), int(np.prod(x.shape[1:])))), single


def pad(x: np.ndarray, place: Windows, fill: float) -> np.ndarray:
    """NHWC x with `fill` around it, and without the rows and columns that negative padding leaves unused."""
    x = x[:, :x.shape[1] + min(place.bottom, 0), :x.shape[2] + min(place.right, 0)]
    bottom, right = max(place.bottom, 0), max(place.right, 0)
    if not (place.top or bottom or place.left or right):
        return x
    n, h, w, c = x.shape
    padded = np.full((n, h + place.top + bottom, w + place.left + right, c), fill, x.dtype)
    padded[:, place.top:place.top + h, place.left:place.left + w] = x
    return padded


def patches(x: np.ndarray, kernel: tuple[int, int], stride: tuple[int, int]) -> np.ndarray:
    """View (N, OH, OW, KH, KW, C) of the windows of a padded NHWC array."""
    view = np.lib.stride_tricks.sliding_window_view(x, kernel, axis=(1, 2))
    return view[:, ::stride[0], ::stride[1]].transpose(0, 1, 2, 4, 5, 3)


def taps(x: np.ndarray, kernel: tuple[int, int], stride: tuple[int, int], place: Windows) -> Iterator[tuple[int, int, np.ndarray]]:
    """(row, column, view (N, OH, OW, C)) of every position in the window: what all windows see there."""
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            rows = slice(i, i + (place.out_h - 1) * stride[0] + 1, stride[0])
            columns = slice(j, j + (place.out_w - 1) * stride[1] + 1, stride[1])
            yield i, j, x[:, rows, columns]
