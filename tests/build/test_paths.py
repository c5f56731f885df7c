"""Packed tables that name code: what an image holds, and whose code that is."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from armsrc.kernelset import KernelSet, Packed
from emu import kws
from emu.build.cache import REPOSITORY
from emu.build.elf import Image
from emu.errors import BuildError, InputError
from emu.machine.call import call
from kwsq import synthetic
from tests.build.test_kernel_folders import STUB, folder
from tests.kernels.test_kernels import library

THUMB2 = REPOSITORY / "armsrc/kernels/thumb2"
DENSE = synthetic.sample("dense_s8", {"in_h": 1, "in_w": 1, "in_c": 4, "out_c": 2}, 1)
NAMES_NOTHING = ("import numpy as np\nfrom armsrc.kernelset import Packed\n"
                 "def pack(kernel, p):\n    return Packed(np.zeros(3, np.uint32), 0, {1: 'dense_s8.nothing'})\n")


def image_of(kernels: str) -> tuple[Image, int]:
    """The keyword spotter's, and its cycles."""
    job = kws.Job(kernels=kernels)
    profile, wrong, _ = kws.judged(job)
    assert not wrong
    return kws.prepared(job, kws.load(job), kernels).image, profile.totals.cycles


def test_an_image_holds_the_code_that_its_layers_take_and_no_other() -> None:
    image, _ = image_of("thumb2")
    held = {f.name for f in image.functions if f.name.partition(".")[0].endswith("_s8")}
    assert held == {"conv2d_s8", "conv2d_s8.walk", "conv2d_s8.walk_rows_1", "max_pool2d_s8", "depthwise_conv2d_s8", "depthwise_conv2d_s8.planes", "depthwise_conv2d_s8.bent_8",
                    "pointwise_conv2d_s8", "pointwise_conv2d_s8.eight_alike", "global_avg_pool2d_s8", "dense_s8",
                    *(f"dense_s8.few_{part}" for part in ("words_4", "6", "6_bent_alike_more", "4", "4_bent_alike_last")),
                    *(f"{kind}_s8.unpacked" for kind in ("conv2d", "depthwise_conv2d", "pointwise_conv2d", "dense"))}
    assert all(f.size <= 4 for f in image.functions if f.name.endswith(".unpacked")), "a trap in the place of code that nothing calls"


def test_code_for_layers_that_are_not_packed_is_there_where_it_is_called(tmp_path: Path) -> None:
    """A copy of the set that packs no dense layer."""
    shutil.copytree(THUMB2, tmp_path / "mine")
    text, dense = re.subn(r'^ +"dense_s8": .*\n', "", (tmp_path / "mine/pack.py").read_text(), flags=re.MULTILINE)
    (tmp_path / "mine/pack.py").write_text(text)
    assert dense == 1
    image, _ = image_of(str(tmp_path / "mine"))
    sizes = {f.name: f.size for f in image.functions}
    assert sizes["dense_s8.unpacked"] > 100 and sizes["conv2d_s8.unpacked"] <= 4 and "dense_s8.few_6" not in sizes


def test_a_copy_of_a_kernel_runs_its_own_code(tmp_path: Path) -> None:
    """Its base has code of the same names."""
    base, cycles = image_of("thumb2")
    mine = folder(tmp_path / "mine", {"kernels.toml": 'base = "thumb2"\n'})
    for name in ("pack.py", "dense.S", *(f.name for f in THUMB2.glob("*.inc"))):
        shutil.copy(THUMB2 / name, mine)
    shutil.copytree(THUMB2 / "packing", mine / "packing")
    text, entries = re.subn(r"(    few_aligned\n    vldm    r1!, {.registers}\n)", r"\1    nop.w\n", (mine / "dense_few.inc").read_text())
    (mine / "dense_few.inc").write_text(text)
    assert entries == 1
    image, slower = image_of(str(mine))
    assert slower == cycles + 1 and len(image.functions) == len(base.functions)


def test_a_name_that_is_not_there(tmp_path: Path) -> None:
    mine = folder(tmp_path / "mine", {"dense.c": STUB.replace("NAME", "dense_s8"), "pack.py": NAMES_NOTHING})
    with pytest.raises(BuildError, match=r"^kernel set 'mine' does not link: .*qdense_16x10_packed.*undefined reference to `dense_s8\.nothing' \(a pack\.py names it, and no file of the set has it\)$"):
        image_of(str(mine))
    packs = KernelSet(pack=lambda kernel, p: Packed(np.zeros(3, np.uint32), 0, {1: "dense_s8.nothing"}))
    with pytest.raises(InputError, match=r"pack\.py wants the address of dense_s8\.nothing, which the image has not$"):
        call(library("thumb2"), "dense_s8", *DENSE, kernel_set=packs)


def test_a_layer_that_is_not_packed_in_an_image_that_packs_all_traps() -> None:
    image, _ = image_of("thumb2")
    code = next(image.code_at(f.address, f.address + 2) for f in image.functions if f.name == "dense_s8.unpacked")
    assert code[1] == 0xDE  # UDF
