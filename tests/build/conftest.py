"""A cache of its own for every test, one compiler for all, and a copy of armsrc/ that a test may break."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from emu.build.cache import REPOSITORY
from emu.build.toolchain import Toolchain, find

# The smallest network that uses all six kinds: every layer is one pixel of one channel.
NETWORK = """
#include "network.h"
int8_t network_input[4] __attribute__((section(".noinit")));
int8_t network_output[4];
int32_t network_scratch[64];
int32_t initialized = 42;
static const int8_t weights[1] = {1};
static const int32_t bias[1] = {0};
static const requantizer requant[1] = {{1 << 30, 0, 0, -128, 127}};
static const conv2d_s8_params conv = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, weights, bias, requant, 0};
static const pointwise_s8_params pointwise = {1, 1, 1, 1, 0, 0, weights, bias, requant, 0};
static const max_pool2d_params pool = {1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0};
static const global_avg_pool2d_s8_params average = {1, 1, 1, -128, 127};
int32_t *used(void);
int32_t *used(void) { return &initialized; }
void network_run(void)
{
    network_output[1] = (int8_t)*used();
    conv2d_s8(&conv, network_input, network_output, network_scratch);
    depthwise_conv2d_s8(&conv, network_input, network_output, network_scratch);
    pointwise_conv2d_s8(&pointwise, network_input, network_output, network_scratch);
    dense_s8(&pointwise, network_input, network_output, network_scratch);
    max_pool2d_s8(&pool, network_input, network_output, network_scratch);
    global_avg_pool2d_s8(&average, network_input, network_output, network_scratch);
}
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("THUMBCYCLE_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def toolchain() -> Toolchain:
    return find()


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A folder with a copy of armsrc/, for `source_root`."""
    shutil.copytree(REPOSITORY / "armsrc", tmp_path / "sources" / "armsrc")
    return tmp_path / "sources"


@pytest.fixture(scope="session")
def network() -> dict[str, str]:
    return {"network.c": NETWORK}
