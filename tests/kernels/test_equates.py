"""Numbers that packers and the assembly must share: what jumps, shifts and the packed layers' sizes are made of."""

from __future__ import annotations

import importlib
import re

import pytest

from emu.build.cache import REPOSITORY

# file of the assembly, its name there, module of the set's packing/, its name there
SHARED = [
    ("thumb2/requantize.inc", "RQ_SATURATING_SHIFT", "common", "SATURATING_SHIFT"),
    ("thumb2/requantize.inc", "FLAG_CLAMP", "common", "FLAG_CLAMP"),
    ("thumb2/requantize.inc", "FLAG_VARIED", "common", "FLAG_VARIED"),
    ("thumb2/conv2d_walk.inc", "WALK_BEGIN", "conv", "_BEGIN"),
    ("thumb2/conv2d_walk.inc", "WALK_PAIRS", "conv", "_PAIRS"),
    ("thumb2/conv2d_walk.inc", "WALK_BLOCK", "conv", "_BLOCK"),
    ("thumb2/conv2d_walk.inc", "WALK_BLOCKS", "conv", "_BLOCKS"),
    ("thumb2/conv2d_rows.inc", "ROWS_BEGIN", "conv", "_ROWS_BEGIN"),
    ("thumb2/chains.inc", "CN_THREE", "chains", "_THREE"),
    ("thumb2/chains.inc", "CN_HALF", "chains", "_HALF"),
    ("thumb2/chains.inc", "CN_MOST", "chains", "MOST"),
    ("thumb2/depthwise_planes.inc", "DP_SHIFT", "strips", "SHIFT"),
    ("thumb2/depthwise_planes.inc", "DP_BAND", "strips", "BAND"),
    ("thumb2/depthwise_planes.inc", "DP_BANDS", "strips", "BANDS"),
    ("thumb2/pointwise_8.inc", "P8_LINE_SHIFT", "matmul", "_LINE_SHIFT"),
    ("thumb2/dense_few_ends.inc", "DF_SHIFT", "few", "_SHIFT"),
    ("thumb2/dense_few_ends.inc", "DF_BENT_SHIFT", "few", "_BENT_SHIFT"),
    ("thumb2/dense_few_ends.inc", "DF_ALIKE_SHIFT", "few", "_ALIKE_SHIFT"),
    ("thumb2/dense_registers.inc", "DR_SHIFT", "registers", "_SHIFT"),
    ("fused/conv_pool_lanes.inc", "CL_MOST", "conv_pool", "_WINDOWS"),
    ("fused/depthwise_pointwise_conv2d.S", "DP_SHIFT", "depthwise_pointwise", "SHIFT"),
    ("thumb2/average_sixteen.inc", "SIXTEEN_PASS", "average_dense", "_PASS"),
]


@pytest.mark.parametrize(("file", "equate", "module", "name"), SHARED)
def test_packers_and_the_assembly_agree(file: str, equate: str, module: str, name: str) -> None:
    text = (REPOSITORY / "armsrc/kernels" / file).read_text()
    found = re.search(rf"^\s*\.equ\s+{equate}, (\d+)\b", text, re.MULTILINE)
    kernels = "fused" if module == "average_dense" else file.partition("/")[0]  # it goes on from thumb2's means
    packing = importlib.import_module(f"armsrc.kernels.{kernels}.packing.{module}")
    assert found and int(found[1]) == getattr(packing, name)
