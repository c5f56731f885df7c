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
static const conv2d_s8_params conv = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, weights, bias, requant};
static const pointwise_s8_params pointwise = {1, 1, 1, 1, 0, 0, weights, bias, requant};
static const max_pool2d_params pool = {1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0};
static const global_avg_pool2d_s8_params average = {1, 1, 1, -128, 127};
const network_layer network_layers[] = {
    {CONV2D, &conv, network_input, network_output}, {DEPTHWISE_CONV2D, &conv, network_input, network_output},
    {POINTWISE_CONV2D, &pointwise, network_input, network_output}, {DENSE, &pointwise, network_input, network_output},
    {MAX_POOL2D, &pool, network_input, network_output}, {GLOBAL_AVG_POOL2D, &average, network_input, network_output},
};
const int32_t network_layer_count = 6;
int32_t *used(void);
int32_t *used(void) { return &initialized; }
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
