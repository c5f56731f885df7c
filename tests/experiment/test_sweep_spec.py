"""Sweep files: what they expand to, and what is wrong with them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from emu import tables
from emu.errors import InputError, ThumbcycleError, UsageError
from emu.experiment.sweep import plan, spec

SHAPE = '[[shape]]\nkind = "dense"\nin_c = 4\n'
CONV = '[[shape]]\nkind = "conv2d"\nsize = 8\nin_c = 2\nkernel = 3\n'


def parsed(text: str) -> spec.Sweep:
    return spec.parse("x", tomllib.loads(text), Path())


def shapes(text: str) -> list[str]:
    return [shape.name for shape in parsed(text).shapes]


def test_a_grid_is_every_combination_in_the_order_of_the_file() -> None:
    sweep = parsed(f'seed = [0, 3]\n[grid]\nkernels = ["c", "thumb2"]\nopt = ["-O2", "Os"]\nflags = ["", "-funroll-loops -fno-ivopts"]\n{SHAPE}')
    assert [(v.kernels, v.opt, v.flags) for v in sweep.variants] == [
        (kernels, opt, flags) for kernels in ("c", "thumb2") for opt in ("O2", "Os") for flags in ((), ("-funroll-loops", "-fno-ivopts"))]
    assert {(v.cc, v.core, v.memory, v.mcpu) for v in sweep.variants} == {(None, "cortex-m4", "zero-wait", "cortex-m4")}
    assert len(plan.make(sweep).points) == 16 and sweep.timeout == 60


def test_several_grids_hold_each_variant_once() -> None:
    sweep = parsed(f'[[grid]]\nkernels = "c"\nopt = ["-O2", "-O3"]\n[[grid]]\nkernels = ["c", "thumb2"]\n{SHAPE}')
    assert [(v.kernels, v.opt) for v in sweep.variants] == [("c", "O2"), ("c", "O3"), ("thumb2", "O3")]


@pytest.mark.parametrize(("given", "values"), [
    ("[1, 3, 3]", [1, 3]), ("{ from = 1, to = 16, times = 2 }", [1, 2, 4, 8, 16]), ("{ from = 2, to = 9, step = 3 }", [2, 5, 8]),
    ("{ from = 5, to = 7 }", [5, 6, 7]), ("7", [7])])
def test_values(given: str, values: list[int]) -> None:
    assert shapes(f'[[shape]]\nkind = "dense"\nin_c = {given}\nout_c = 10') == [f"dense {value}->10" for value in values]


def test_shapes_say_what_they_are() -> None:
    assert shapes('[[shape]]\nkind = "conv2d"\nsize = ["49x10", 8]\nin_c = [1, 2]\nout_c = "in_c"\nkernel = "10x4"\nstride = [1, "2x1"]\n'
                  'padding = "valid"\nactivation = "none"\nper_channel = false') == [
        f"conv2d {size}x{channels}->{channels} 10x4{stride} valid no relu per tensor"
        for size in ("49x10", "8x8") for channels in (1, 2) for stride in ("", "/2x1")]
    assert shapes('[[shape]]\nkind = "max_pool2d"\nsize = 8\nin_c = 4\nkernel = [2, 3]') == ["max_pool2d 8x8x4 2x2", "max_pool2d 8x8x4 3x3"]
    assert shapes('[[shape]]\nname = "first"\nkind = "dense"\nin_c = 4\n[[shape]]\nnetwork = "kws"') == ["first", "kws"]
    assert shapes('[[shape]]\nnetwork = "kws"\ninput = ["yes", "no"]') == ["kws yes", "kws no"]
    assert shapes('[[shape]]\nname = "all"\nkind = "dense"\nin_c = [4, 5]') == ["all dense 4->4", "all dense 5->5"]


def test_large_shapes_are_left_out() -> None:
    planned = plan.make(parsed('max_macs = 100\n[[shape]]\nkind = "dense"\nin_c = [9, 10, 11]'))
    assert [point.row["in_c"] for point in planned.points] == [9, 10] and planned.large == 1


def test_shapes_that_no_kernel_handles_are_rows_that_say_why() -> None:
    planned = plan.make(parsed('[[shape]]\nkind = "conv2d"\nsize = [4, 12]\nin_c = 1\nkernel = 10\npadding = "valid"\n'
                               '[[shape]]\nkind = "pointwise_conv2d"\nsize = 4\nin_c = 8192'))
    assert [(point.row.get("status"), point.row.get("error")) for point in planned.points] == [
        ("illegal shape", "a kernel of 10 does not fit an input of 4 with its padding"), (None, None),
        ("illegal shape", "pointwise_conv2d_s8: weights is (8192, 8192), but the kernel ABI wants at most 2^24 elements")]


def test_a_network_has_no_seed() -> None:
    assert len(plan.make(parsed('seed = [1, 2]\n[[shape]]\nnetwork = "kws"')).points) == 1


def test_points_of_one_run_are_one_task() -> None:
    planned = plan.make(parsed(f'[grid]\nmcpu = ["core", "cortex-m4"]\ncore = ["cortex-m4", "cortex-m7"]\nmemory = ["zero-wait", "stm32f407-168mhz"]\n{SHAPE}'))
    work = plan.left(planned, {})
    assert len(planned.points) == 6 and work.points == 6  # cortex-m4's own code is there once
    assert {task.mcpu: task.targets for task in work.tasks} == {
        "cortex-m4": (("cortex-m4", "zero-wait"), ("cortex-m4", "stm32f407-168mhz"), ("cortex-m7", "zero-wait"), ("cortex-m7", "stm32f407-168mhz")),
        "cortex-m7": (("cortex-m7", "zero-wait"), ("cortex-m7", "stm32f407-168mhz"))}


def test_filters() -> None:
    sweep = parsed(f'[grid]\nkernels = ["c", "thumb2"]\nopt = ["-O2", "-O3"]\n{SHAPE}{CONV}')
    assert {point.row["kernels"] for point in plan.make(sweep, ["kernels=th*"]).points} == {"thumb2"}
    assert [point.row["shape"] for point in plan.make(sweep, ["kind=conv*", "opt=O2", "kernels=c"]).points] == ["conv2d 8x8x2->2 3x3"]
    for where, message in (("kernel=c", "no column 'kernel'.*did you mean kernels"), ("kernels", "KEY=PATTERN is wanted"), ("opt=O9", "the grid is empty")):
        with pytest.raises(UsageError, match=message):
            plan.make(sweep, [where])


@pytest.mark.parametrize(("text", "message"), [
    ("timout = 3\n" + SHAPE, r"unknown key 'timout' \(did you mean timeout\?\)"),
    ("[grid]\ncores = 'cortex-m4'\n" + SHAPE, r"grid 1: unknown key 'cores' \(did you mean core\?\)"),
    (SHAPE + "outc = 3", r"shape 1 \(dense\): unknown key 'outc' \(did you mean out_c\?\)"),
    (SHAPE + "kernel = 3", r"shape 1 \(dense\): unknown key 'kernel'"),
    ('[[shape]]\nkind = "conv"', r"shape 1: kind: no 'conv' \(did you mean conv2d\?\)"),
    ("[[shape]]\nin_c = 3", "shape 1: no kind; there are conv2d"),
    ("[[shape]]\nnetwork = 'kws'\nin_c = 3", "shape 1: unknown key 'in_c'"),
    ("[[shape]]\nnetwork = 'kws'\ninput = ['no', 'yess']", "input: no 'yess' .did you mean yes"),
    ('[[shape]]\nname = "a"\nkind = "dense"\nin_c = 3\n[[shape]]\nname = "a"\nkind = "dense"\nin_c = 4', "shape 1 and another one are both called 'a'"),
    ("[[shape]]\nnetwork = 'vww'", "shape 1: network: no 'vww'"),
    ('[[shape]]\nkind = "conv2d"\nsize = 3', r"shape 1 \(conv2d\): no in_c, kernel"),
    ('[[shape]]\nkind = "dense"\nin_c = { from = 1, to = 9, by = 2 }', "in_c: unknown key 'by'"),
    ('[[shape]]\nkind = "dense"\nin_c = { from = 1, to = 9, times = 1 }', "times is 1; at least 2"),
    ('[[shape]]\nkind = "dense"\nin_c = { from = 9, to = 1 }', "in_c is empty: no point would be left"),
    ('[[shape]]\nkind = "dense"\nin_c = { to = 1 }', r"a range is \{ from = A, to = B \}"),
    ('[[shape]]\nkind = "dense"\nin_c = []', "in_c is empty"), ('[[shape]]\nkind = "dense"\nin_c = 0', "in_c is 0; a whole number of at least 1"),
    ('[[shape]]\nkind = "dense"\nin_c = "out_c"', "in_c cannot be as out_c"), (CONV + 'stride = "size"\n', None),
    (CONV.replace("size = 8", 'size = "8*8"'), "size is '8\\*8'; a number or \"HEIGHTxWIDTH\""), (CONV + 'padding = "full"', "padding: no 'full'"),
    (CONV + "per_channel = 1", "per_channel is 1; true or false"), ("", "the grid is empty: no \\[\\[shape\\]\\]"), ("shape = 3", "shape 1: a table was expected, not 3"),
    ("[grid]\nkernels = []\n" + SHAPE, "kernels is empty"), ("[grid]\nkernels = 'thumb'\n" + SHAPE, r"grid 1: kernels: no kernel set 'thumb' .*did you mean thumb2\?"),
    ("[grid]\nopt = '-O9'\n" + SHAPE, "opt: no 'O9'"), ("[grid]\nflags = [['-Os']]\n" + SHAPE, "options in one text"),
    ("[grid]\nflags = '-O2'\n" + SHAPE, "-O2 belongs into opt"), ("[grid]\nflags = '-mcpu=cortex-m7'\n" + SHAPE, "-mcpu=cortex-m7 cannot be given"),
    ('[grid]\nflags = "-DA=\\u0001"\n' + SHAPE, r"'-DA=.x01' cannot be given: it cannot be printed"),
    ("[grid]\ncore = 'cortex-m44'\n" + SHAPE, "grid 1: core: no core 'cortex-m44' .did you mean cortex-m4"), ("[grid]\nmemory = 'sram'\n" + SHAPE, "no memory 'sram'"),
    ("[grid]\nmcpu = 'm7'\n" + SHAPE, "no core 'm7'"), ("timeout = 0\n" + SHAPE, "timeout is 0; seconds"), ("seed = -1\n" + SHAPE, "seed is -1"),
    (SHAPE.replace("4", "99999999999999999999"), "in_c is 99999999999999999999; at most 2,147,483,647"),
    ('[[shape]]\nkind = "dense"\nin_c = { from = 1, to = 1_000_000 }', "in_c has more than 10,000 values"),
    ("max_macs = 1\n" + SHAPE, "every shape has more than max_macs = 1"),
    ('[[shape]]\nkind = "dense"\nin_c = { from = 1, to = 2000 }\nout_c = { from = 1, to = 2000 }', "4,000,000 shapes; at most"),
])
def test_wrong_files(tmp_path: Path, text: str, message: str | None) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    if message is None:
        assert plan.make(spec.load(str(path))).points
        return
    with pytest.raises(ThumbcycleError, match=message) as raised:
        plan.make(spec.load(str(path)))
    assert "x" in str(raised.value).partition(":")[0]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b"\xff = 3")
    (tmp_path / "y.toml").write_text("[grid\n")
    for name in ("x.toml", "y.toml"):
        with pytest.raises(InputError, match=f"{name}: no TOML"):
            spec.load(str(tmp_path / name))
    with pytest.raises(UsageError, match=r"no sweep file flag \(did you mean flags\?\)"):
        spec.load("flag")
    with pytest.raises(InputError, match="Is a directory"):
        spec.load(str(tmp_path))


@pytest.mark.parametrize("name", tables.names(spec.READY))
def test_files_that_come_with_the_project(name: str) -> None:
    planned = plan.make(spec.load(name))
    assert len(planned.points) < 3000
    assert name == "growth" or not [point.row["error"] for point in planned.points if "status" in point.row]


def test_mlperf_tiny_is_the_whole_of_its_networks() -> None:
    """Multiply-accumulates of the published networks, each layer as often as it is there."""
    macs = {point.row["shape"]: point.row["macs"] for point in plan.make(spec.load("mlperf-tiny"), ["kernels=c"]).points}
    times = {"kws depthwise (4 times)": 4, "kws pointwise (4 times)": 4, "vww depthwise 7 to 11": 5, "vww pointwise 7 to 11": 5,
             "ad dense 2 to 4, 7 to 9": 6}
    total = {net: sum(times.get(name, 1) * count for name, count in macs.items() if name.startswith(net)) for net in ("kws", "vww", "ic", "ad")}
    assert total == {"kws": 2_656_768, "vww": 7_489_664, "ic": 12_501_632, "ad": 264_192}
