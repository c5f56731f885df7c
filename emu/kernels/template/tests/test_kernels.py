"""These kernels against thumbcycle's reference, on shapes and values at random, and what one of them may cost.

The fixture `thumbcycle` comes with the package (docs/gate.md there).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

KERNELS = Path(__file__).parents[1]


def layer(seed: int, in_h: int, in_w: int, in_c: int, out_c: int) -> tuple[dict, np.ndarray]:
    """A pointwise or dense layer at random: its struct, and an input (in_h, in_w, in_c)."""
    random = np.random.default_rng(seed)
    rows = out_c if seed % 2 else 1  # a requantizer a channel, or one for all
    requant = np.stack([random.integers(1 << 30, 1 << 31, rows), random.integers(-2, 12, rows), random.integers(-128, 128, rows),
                        np.full(rows, -128), random.integers(0, 128, rows)], axis=1)
    params = {"in_h": in_h, "in_w": in_w, "in_c": in_c, "out_c": out_c, "input_zero_point": int(random.integers(-128, 128)),
              "per_channel": int(rows > 1), "weights": random.integers(-128, 128, (out_c, in_c)).astype(np.int8),
              "bias": random.integers(-1000, 1000, out_c).astype(np.int32), "requant": requant.astype(np.int32)}
    return params, random.integers(-128, 128, (in_h, in_w, in_c)).astype(np.int8)


@pytest.mark.parametrize("seed", range(4))
def test_pointwise(thumbcycle, seed: int) -> None:
    params, x = layer(seed, in_h=seed + 1, in_w=3, in_c=2 * seed + 1, out_c=5)
    thumbcycle("pointwise_conv2d_s8", params, x, kernels=KERNELS).assert_bit_exact()


@pytest.mark.parametrize("seed", range(4))
def test_dense(thumbcycle, seed: int) -> None:
    params, x = layer(seed, in_h=1, in_w=1, in_c=3 * seed + 1, out_c=seed + 2)
    thumbcycle("dense_s8", params, x, kernels=KERNELS).assert_bit_exact()


def test_what_dense_costs(thumbcycle) -> None:
    params, x = layer(1, in_h=1, in_w=1, in_c=16, out_c=10)
    thumbcycle("dense_s8", params, x, kernels=KERNELS, core="cortex-m4").assert_at_most(instructions=1324, stack=36)
