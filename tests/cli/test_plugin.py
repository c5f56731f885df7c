"""The pytest plug-in as somebody else's suite uses it."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from armsrc import abi
from emu.build.cache import REPOSITORY, cache_dir
from emu.errors import BuildError, TargetFault, UsageError
from emu.testing import Kernels
from kwsq import model

POOL = "global_avg_pool2d_s8"
PARAMS = {"in_h": 9, "in_w": 9, "in_c": 16, "qmin": -128, "qmax": 127}
X = np.random.default_rng(0).integers(-128, 128, (9, 9, 16)).astype(np.int8)


@pytest.fixture(scope="module")
def thumbcycle() -> Kernels:
    return Kernels()


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder of C kernels outside the project."""
    return shutil.copytree(REPOSITORY / "armsrc/kernels/c", tmp_path / "mine")


@pytest.mark.parametrize(("statement", "message"), [
    ("y[channels] = 1;", rf"^{POOL} wrote outside every object: 1 time; 'strb.* in {POOL}\+0x.* \(.*/global_avg_pool2d\.c:\d+\)$"),
    ("((int8_t *)x)[1] = 1;", f"^{POOL} wrote into input, which is not its output: 1 time; 'strb"),
    ("*(int8_t *)scratch = 1; ((int8_t *)scratch)[4] = 1;", f"^{POOL} wrote outside every object: 1 time; 'strb"),
    ("static int calls; calls++;", None),
])
def test_where_a_kernel_may_write(thumbcycle, mine: Path, statement: str, message: str | None) -> None:
    """Of scratch a pool gets nothing (there are four bytes, so that it has an address)."""
    source = mine / "global_avg_pool2d.c"
    source.write_text(source.read_text().replace("(void)scratch;", f"(void)scratch; {statement}"))
    if message is None:
        thumbcycle(POOL, PARAMS, X, kernels=mine).assert_bit_exact()
        return
    with pytest.raises(TargetFault, match=message):
        thumbcycle(POOL, PARAMS, X, kernels=mine)


def test_a_library_that_wants_more_scratch(thumbcycle, mine: Path) -> None:
    source = mine / "global_avg_pool2d.c"
    source.write_text(source.read_text().replace("(void)scratch;", "for (int32_t i = 0; i < 3 * p->in_c; i++) ((volatile int8_t *)scratch)[i] = 1;"))
    with pytest.raises(TargetFault, match="wrote outside every object: 44 times; 'strb"):
        thumbcycle(POOL, PARAMS, X, kernels=mine)
    (mine / "pack.py").write_text("def scratch(kernel, p):\n    return 3 * p['in_c'] if kernel.startswith('global') else 0\n")
    done = thumbcycle(POOL, PARAMS, X, kernels=mine)
    done.assert_bit_exact()
    assert done.traffic["scratch"].bytes_written == 3 * 16


def test_a_fused_kernel(thumbcycle) -> None:
    """The keyword spotter's average pool and dense layer in one call, against one after the other."""
    pool, dense = (layer.params() for layer in model.load()["int8"][-2:])
    x = np.random.default_rng(0).integers(-128, 128, abi.input_shape(POOL, pool)).astype(np.int8)
    done = thumbcycle("global_avg_pool2d_dense_s8", pool, x, second=dense, kernels="fused")
    done.assert_bit_exact()
    assert done.output.shape == (1, 1, 10) and done.cycles < 1500


def test_a_suite_of_its_own(mine: Path) -> None:
    (mine.parent / "test_mine.py").write_text(f"""
import numpy as np

PARAMS = {PARAMS}
X = np.random.default_rng(0).integers(-128, 128, (9, 9, 16)).astype(np.int8)

def test_right(thumbcycle):
    done = thumbcycle("{POOL}", PARAMS, X, kernels="mine")
    done.assert_bit_exact()
    done.assert_at_most(instructions=10**6, cycles=10**6)

def test_slow(thumbcycle):
    thumbcycle("{POOL}", PARAMS, X, kernels="mine").assert_at_most(cycles=1, stack=10**6)

def test_wrong(thumbcycle):
    thumbcycle("{POOL}", PARAMS, X, kernels="mine").assert_bit_exact(np.full((1, 1, 16), 99, np.int8))

def test_no_kernel(thumbcycle):
    thumbcycle("{POOL}", PARAMS, X, kernels="./none")

def test_no_struct(thumbcycle):
    thumbcycle("{POOL}", {{"in_h": 3}}, X)
""")
    variables = {**os.environ, "PYTHONPATH": str(REPOSITORY), "THUMBCYCLE_CACHE": str(cache_dir()), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run([sys.executable, "-m", "pytest", "-p", "emu.pytest_plugin", "-p", "no:cacheprovider", "-q", "test_mine.py"],
                          cwd=mine.parent, env=variables, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1 and "4 failed, 1 passed" in done.stdout, done.stdout
    assert f"{POOL}: " in done.stdout and "cycles, at most 1" in done.stdout and "is not bit-exact: element (0, 0, 0) is" in done.stdout
    assert re.search(r"\(16 of 16 elements differ, by \d+ at most\)", done.stdout)
    assert "no kernel set './none': there is no such folder" in done.stdout and "AbiError: " in done.stdout and "emu/" not in done.stdout and "armsrc/" not in done.stdout


def test_pytest_finds_it_where_the_project_is_installed() -> None:
    entry = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    assert list(entry) == ["thumbcycle"] and hasattr(importlib.import_module(entry["thumbcycle"]), "thumbcycle")


def test_what_is_measured(thumbcycle) -> None:
    done = thumbcycle(POOL, PARAMS, X)
    done.assert_bit_exact()
    assert done.traffic["input"].bytes_read == 9 * 9 * 16 and done.traffic["output"].bytes_written == 16
    assert done.bytes_read == sum(traffic.bytes_read for traffic in done.traffic.values()) > 9 * 9 * 16
    assert done.cycles > done.instructions > 0 and done.stack > 0
    done.assert_at_most(instructions=done.instructions, cycles=done.cycles, bytes_read=done.bytes_read, bytes_written=done.bytes_written,
                        stack=done.stack)
    with pytest.raises(AssertionError, match=f"cycles, at most {done.cycles - 1:,}; {done.stack} stack, at most {done.stack - 1}"):
        done.assert_at_most(instructions=done.instructions, cycles=done.cycles - 1, stack=done.stack - 1)
    with pytest.raises(UsageError, match="'cycle' .did you mean cycles"):
        done.assert_at_most(cycle=1)
    with pytest.raises(AssertionError, match=r"int8 \(1, 1, 16\), but int64"):
        done.assert_bit_exact(np.zeros(16, np.int64))


def test_cores_and_memories_price_it(thumbcycle) -> None:
    calls = [thumbcycle(POOL, PARAMS, X, core=core, memory=memory) for core, memory in (
        ("cortex-m4", "zero-wait"), ("cortex-m4", "stm32f407-24mhz"), ("cortex-m7", "zero-wait"), ("cortex-m33", "zero-wait"))]
    assert len({done.instructions for done in calls}) == 1 and calls[2].cycles < calls[0].cycles <= calls[1].cycles


def test_what_goes_wrong(thumbcycle, mine: Path) -> None:
    with pytest.raises(UsageError, match="no kernel set 'thumb' .*did you mean thumb2"):
        thumbcycle(POOL, PARAMS, X, kernels="thumb")
    with pytest.raises(UsageError, match=r"no kernel 'dense' .*did you mean dense_s8\?"):
        thumbcycle("dense", PARAMS, X)
    with pytest.raises(abi.AbiError, match="qmin"):
        thumbcycle(POOL, PARAMS | {"qmin": 5, "qmax": 4}, X)
    source = mine / "global_avg_pool2d.c"
    text = source.read_text()
    head = (f"void {POOL}(const global_avg_pool2d_s8_params *p, const int8_t *x, int8_t *y, void *scratch)\n"
            "{ (void)p; (void)x; (void)scratch;")
    source.write_text(f'#include "kernels.h"\n{head} (void)y; return 1 +; }}\n')
    with pytest.raises(BuildError, match=r"mine/global_avg_pool2d\.c:3"):
        thumbcycle(POOL, PARAMS, X, kernels=mine)
    source.write_text(f'#include "kernels.h"\n{head} (void)y; *(volatile int *)0x30000000 = 1; }}\n')
    with pytest.raises(TargetFault, match="outside memory"):
        thumbcycle(POOL, PARAMS, X, kernels=mine)
    source.write_text(text)
    thumbcycle(POOL, PARAMS, X, kernels=mine).assert_bit_exact()
