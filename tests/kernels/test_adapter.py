"""docs/examples/adapter: a library with another interface under the kernel ABI."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from emu import kws
from emu.build import compile as images
from emu.build import toolchain
from emu.build.cache import REPOSITORY
from emu.build.elf import Image
from emu.machine.call import call
from kwsq import reference
from tests.kernels.structs import cases

FOLDER = REPOSITORY / "docs/examples/adapter"
SHARED = slice(2, 5)  # columns of requant that the adapter takes of the first channel: zero point, qmin, qmax


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4"])
def test_the_spotter_is_bit_exact(core) -> None:
    profile, wrong, _ = kws.judged(kws.Job(kernels=str(FOLDER), core=core))
    assert not wrong and {kernel for kernel, name in profile.about["kernel_set"]["implements"].items() if name == "adapter"} == {
        "pointwise_conv2d_s8", "dense_s8"}


@pytest.mark.parametrize("kernel", ["pointwise_conv2d_s8", "dense_s8"])
def test_it_is_right_for_layers_whose_channels_share_a_range(kernel) -> None:
    image = Image.load(images.build(str(FOLDER), generated={}, float_abi=False, toolchain=toolchain.find(), script="library"))

    @settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(cases(kernel))
    def check(case) -> None:
        params, x, offsets = case
        requant = np.array(params["requant"])
        requant[:, SHARED] = requant[0, SHARED]
        params = params | {"requant": requant}
        np.testing.assert_array_equal(call(image, kernel, params, x, offsets=offsets).output.ravel(),
                                      reference.run_kernel(kernel, params, x).ravel())

    check()


def test_the_page_shows_the_adapter_and_what_it_costs() -> None:
    page = (REPOSITORY / "docs/kernels.md").read_text()
    assert (Path(FOLDER) / "adapter.c").read_text().strip() in re.findall(r"```c\n(.*?)\n```", page, re.DOTALL)
    profile = kws.judged(kws.Job(kernels=str(FOLDER))).profile
    if "12.2" in profile.about["toolchain"]["version"]:
        cycles = {row.kernel: row.cycles for row in profile.layers}
        assert f"{cycles['pointwise_conv2d_s8']:,} cycles for the pointwise layer" in page
