"""Structs and inputs at random, of a given shape."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from armsrc import abi
from kwsq import float_reference, layers, reference, synthetic

SHAPE = {"size": (9, 7), "in_c": 5, "out_c": 6, "kernel": (3, 2), "stride": (2, 1), "padding": "same"}


def of(kernel: str, /, **changes: object) -> dict[str, object]:
    """SHAPE with what the kernel has of it."""
    layout = abi.KERNELS[kernel][1]
    keys = ["size", "in_c", *(["out_c"] if layout else []), *(["kernel", "stride", "padding"] if layout in ("OHWI", "HWC") or "max" in kernel else [])]
    special = {"size": (1, 1)} if kernel.startswith("dense") else {"out_c": 5} if kernel.startswith("depthwise") else {}
    return {key: {**SHAPE, **special, **changes}[key] for key in keys}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.sampled_from(list(abi.KERNELS)), st.integers(0, 2**32 - 1), st.sampled_from(synthetic.ACTIVATIONS), st.booleans())
def test_what_is_drawn_is_legal_and_the_reference_takes_it(kernel: str, seed: int, activation: str, per_channel: bool) -> None:
    sizes = synthetic.sizes(kernel, of(kernel))
    params, x = synthetic.sample(kernel, sizes, seed, activation=activation, per_channel=per_channel)
    abi.check(kernel, params)
    layer = layers.from_params(kernel, params)
    assert layer.macs == synthetic.macs(kernel, sizes)
    output = (float_reference if abi.is_float(kernel) else reference).run_kernel(kernel, params, x)
    assert output.size == np.prod(abi.output_shape(kernel, params))


def test_the_same_seed_draws_the_same() -> None:
    sizes = synthetic.sizes("conv2d_s8", SHAPE)
    (first, x), (again, y), (other, z) = (synthetic.sample("conv2d_s8", sizes, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(first[field], again[field]) for field in first) and np.array_equal(x, y)
    assert not np.array_equal(first["weights"], other["weights"]) and not np.array_equal(x, z)


@pytest.mark.parametrize("kernel", ["conv2d_s8", "depthwise_conv2d_s8", "pointwise_conv2d_s8"])
def test_outputs_spread_over_int8(kernel: str) -> None:
    changes = {"size": (24, 24), "in_c": 32, "out_c": 32}
    params, x = synthetic.sample(kernel, synthetic.sizes(kernel, of(kernel, **changes)), 3, activation="none")
    output = reference.run_kernel(kernel, params, x)
    assert 25 < output.std() < 90 and len(np.unique(output)) > 200


@pytest.mark.parametrize(("kernel", "changes", "message"), [
    ("conv2d_s8", {"kernel": (10, 2), "padding": "valid"}, "does not fit"),
    ("depthwise_conv2d_s8", {"out_c": 6}, "out_c is 6"),
    ("conv2d_s8", {"in_c": 0}, "in_c is 0"),
    ("pointwise_conv2d_s8", {"in_c": 1 << 13, "out_c": 1 << 13}, "at most 2\\^24 elements"),
    ("dense_s8", {"size": (2, 1)}, "in_h, in_w"),
])
def test_shapes_that_no_kernel_handles(kernel: str, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        synthetic.sizes(kernel, of(kernel, **changes))
