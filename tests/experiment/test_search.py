"""`python -m emu.experiment search`: a kernel that was scheduled badly, marks that are wrong, and kernels that only look right."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path

import pytest

from emu import kws
from emu.build.cache import REPOSITORY
from emu.errors import InputError, NotBitExact, UsageError
from emu.experiment.search import choose, marks, subject
from emu.experiment.search.run import Result, search
from emu.isa.instruction import Instruction
from emu.probe.counts import Stream
from emu.timing import core, pipeline, pricing
from tests.cli.conftest import run_in

SEARCH = ("emu.experiment", "search")
SET = "pool"  # a kernel set: that in C, its 2x2 pools of whole words in assembly
ASSEMBLY, FOLDER = f"armsrc/kernels/{SET}/pool.S", f"armsrc/kernels/{SET}"
C_PART = """
#include <stdint.h>
typedef int8_t element;
#define MAX_POOL2D pool_of_any_shape
#include "max_pool2d.h"

void pool_pixel(const int8_t *above, const int8_t *below, int32_t channels, int8_t *y);

void max_pool2d_s8(const max_pool2d_params *p, const int8_t *x, int8_t *y, void *scratch)
{
    if (p->kernel_h != 2 || p->kernel_w != 2 || p->pad_top || p->pad_left || p->in_c % 4
        || (p->out_h - 1) * p->stride_h + 2 > p->in_h || (p->out_w - 1) * p->stride_w + 2 > p->in_w) {
        pool_of_any_shape(p, x, y, scratch);
        return;
    }
    for (int32_t oy = 0; oy < p->out_h; oy++)
        for (int32_t ox = 0; ox < p->out_w; ox++, y += p->in_c) {
            const int8_t *above = x + (oy * p->stride_h * p->in_w + ox * p->stride_w) * p->in_c;
            pool_pixel(above, above + p->in_w * p->in_c, p->in_c, y);
        }
}
"""
ASSEMBLY_PART = """
    .syntax unified
    .thumb
    .macro  maximum into, other, scratch
    ssub8   \\scratch, \\into, \\other
    sel     \\into, \\into, \\other
    .endm

    .section .text.pool_pixel, "ax", %progbits
    .balign 4
    .global pool_pixel
    .type   pool_pixel, %function
    .thumb_func
pool_pixel:                             @ r0 above, r1 below, r2 channels, r3 y
    push    {r4-r8, lr}
    lsrs    r8, r2, #2
.Lword:
BODY
    str.w   r4, [r3], #4
    subs.w  r8, r8, #1
    bne.w   .Lword
    pop     {r4-r8, pc}
    .size   pool_pixel, . - pool_pixel
"""
# Each load used as soon as it is there: ten instructions.
BAD = """@ search: begin word noalias
    ldr     r5, [r0, r2]                @ the row above
@ and its other column
    ldr.w   r4, [r0], #4
    maximum r4, r5, r12
    ldr     r7, [r1, r2]
    ldr.w   r6, [r1], #4
    ssub8   r12, r6, r7
    sel     r6, r6, r7
    maximum r4, r6, r12
@ search: end
"""
# Pairs of the ten that cannot change places, by hand: (0, 1) because r0 is written back, ...; each SSUB8 also stays with its SEL.
KEEP = ((0, 1), (0, 2), (1, 2), (2, 3), (4, 5), (4, 6), (5, 6), (6, 7), (3, 8), (7, 8), (8, 9))
# Two words, both off the same macro.
MACRO = """
    .macro  word at
@ search: begin expanded noalias
    ldr     r5, [r0, #\\at]
    ldr.w   r4, [r6, #\\at]
    maximum r4, r5, lr
    ldr     r7, [r1, #\\at]
    ldr.w   r12, [r8, #\\at]
    maximum r7, r12, lr
    maximum r4, r7, lr
@ search: end
    str.w   r4, [r3, #\\at]
    .endm
"""


def files(body: str, before: str = "") -> dict[str, str]:
    return {ASSEMBLY: ASSEMBLY_PART.replace("BODY\n", body).replace("    .section", f"{before}    .section", 1), f"{FOLDER}/max_pool2d.c": C_PART}


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Path]:
    """A folder with armsrc/ in which the kernel set is."""
    def make(body: str = BAD, before: str = "") -> Path:
        for part in ("include", "firmware", "runtime"):
            shutil.copytree(REPOSITORY / "armsrc" / part, tmp_path / "armsrc" / part)
        shutil.copytree(REPOSITORY / "armsrc/kernels/c", tmp_path / FOLDER)
        for name, text in files(body, before).items():
            (tmp_path / name).write_text(text)
        return tmp_path
    return make


def searched(root: Path, *, tries: int = 400, calls: int = 6) -> Result:
    sources = subject.sources(SET, root)
    return search(sources, choose.one(choose.regions(sources, None), None), kws.Job(), tries=tries, seconds=None, calls=calls)


def cheapest(root: Path) -> int:
    """Cycles of the whole run with the best of all orders of BAD, by brute force."""
    found = subject.subject(sources := subject.sources(SET, root), sources.regions["word"], kws.Job(kernels=SET))
    run, place = found.measured.run, found.expansions[0][0]
    streams = [stream for stream in run.counts.streams if stream.start <= place.start <= stream.end]
    costs = [sum(stream.count * priced(stream, run.instructions, place.start, order) for stream in streams) for order in orders()]
    return found.measured.profiles[0].totals.cycles - costs[0] + min(costs)


def orders() -> list[tuple[int, ...]]:
    """Of ten instructions, those that KEEP allows; the original first."""
    found: list[tuple[int, ...]] = [()]
    for _ in range(10):
        found = [(*order, n) for order in found for n in range(10) if n not in order and all(a in order for a, b in KEEP if b == n)]
    return sorted(order for order in found if kept_lanes(order))


def kept_lanes(order: tuple[int, ...]) -> bool:
    """No other SSUB8 between one and its SEL."""
    at = [n for n in order if n in (2, 3, 6, 7, 8, 9)]
    return all(at.index(n + 1) == at.index(n) + 1 for n in (2, 6, 8))


def priced(stream: Stream, instructions: Mapping[int, Instruction], start: int, order: Sequence[int]) -> int:
    """One stream with the ten instructions from `start` on in that order."""
    steps = pricing.steps(instructions, stream.start, stream.end, stream.events)
    at = next(n for n, step in enumerate(steps) if step.instruction.address == start)
    before, address = steps[at:at + len(order)], start
    for place, n in enumerate(order):
        steps[at + place] = before[n]._replace(instruction=before[n].instruction._replace(address=address))
        address += before[n].instruction.size
    return pipeline.cycles(steps, stream.taken, core.load("cortex-m4"), entered=stream.entered)


def test_a_bad_schedule_becomes_the_best_that_there_is(made) -> None:
    root = made()
    result = searched(root)
    assert result.exhausted and result.orders == len(orders()) > 5
    assert result.after.total == result.predicted[0] == cheapest(root) < result.before.total
    assert result.gained == result.before.total - result.after.total == result.before.cycles - result.after.cycles > 0
    assert not result.rejected and result.calls > 3
    # what is written is what was verified, and the better source is not bettered again
    (root / ASSEMBLY).write_text(result.text)
    assert "@ the row above" in result.text and "@ and its other column\n    ldr.w   r4, [r0], #4\n" in result.text and result.text.count("search:") == 2
    again = searched(root)
    assert again.before.total == result.after.total and again.after is None
    assert [line.text for line in again.before.lines] == [line.text for line in result.after.lines]


def test_a_register_is_renamed_where_that_frees_an_order(made) -> None:
    """Both rows go through r5: the second load has to wait until another register is found for it."""
    result = searched(made(BAD.replace("r7", "r5").replace(" noalias", " free: r7 noalias")), tries=1200)
    assert result.predicted[0] == result.after.total < result.before.total and not result.rejected
    loads = [number for number, line in enumerate(result.after.lines) if line.text.startswith("ldr")]
    assert loads[-1] - loads[0] == 3 and any(line.moved and "r5" not in line.text for line in result.after.lines if line.text.startswith("ldr"))


def test_a_region_in_a_macro_changes_wherever_it_is_expanded(made) -> None:
    body = "    add     r6, r0, r2\n    add     r8, r1, r2\n    word    0\n    word    4\n    b       .Ldone\n"
    root = made(body, MACRO)
    text = (root / ASSEMBLY).read_text()
    (root / ASSEMBLY).write_text(text.replace("    pop     {r4-r8, pc}", ".Ldone:\n    pop     {r4-r8, pc}").replace("    lsrs    r8, r2, #2\n", ""))
    result = searched(root, calls=0)
    assert (result.expansions, result.others, result.executions) == (2, 0, 162) and result.gained >= 81
    assert "ldr.w   r4, [r6, #\\at]" in result.text and "[r6, #4]" not in result.text


def test_what_is_not_bit_exact_is_never_reported(made) -> None:
    """The mark says that accesses off different bases never meet; here they do, and loads before the store would be cheaper."""
    lie = BAD.replace("    maximum r4, r6, r12\n", "    maximum r4, r6, r12\n    str.w   r4, [r3]\n    mov.w   lr, r3\n").replace("@ search: end\n", "")
    lie = lie.replace("@ search: begin word noalias\n", "    mov.w   lr, r3\n@ search: begin word noalias\n").replace("    mov.w   lr, r3\n", "", 0)
    result = searched(made(lie + "    ldr.w   r4, [lr]\n@ search: end\n"), calls=1)
    assert result.rejected and all("not bit-exact" in why or "reference" in why for why in result.rejected)
    assert result.after is None or (result.after.total,) == result.predicted


def test_several_cores_none_of_which_loses(made) -> None:
    sources = subject.sources(SET, made())
    cores = ("cortex-m7", "cortex-m4", "cortex-m33")
    result = search(sources, sources.regions["word"], kws.Job(core=cores[0], other_cores=cores[1:]), tries=400, seconds=None, calls=1)
    assert [core for core, _ in result.after.totals] == list(cores)
    assert tuple(cycles for _, cycles in result.after.totals) == result.predicted
    assert all(new <= old for (_, old), (_, new) in zip(result.before.totals, result.after.totals, strict=True)) and result.before.totals != result.after.totals


def line_of(root: Path, words: str) -> int:
    return next(number for number, line in enumerate((root / ASSEMBLY).read_text().splitlines(), 1) if words in line)


def test_a_folder_of_somebodys(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, text in files(BAD).items():
        (folder / Path(name).name).write_text(text)
    sources = subject.sources(str(folder))
    assert sources.regions["word"].where == "mine/pool.S:18"
    result = search(sources, sources.regions["word"], kws.Job(), tries=100, seconds=None, calls=2)
    assert result.exhausted and result.gained > 0 and result.text and (folder / "pool.S").read_text() == files(BAD)[ASSEMBLY]


# --- as a user types it ---


@pytest.fixture
def project(copy: Path) -> Path:
    """A copy of the project that has the kernel set."""
    shutil.copytree(copy / "armsrc/kernels/c", copy / FOLDER)
    for name, text in files(BAD).items():
        (copy / name).write_text(text)
    return copy


def test_the_command(project: Path) -> None:
    arguments = (*SEARCH, "pool_pixel", "--kernels", SET, "--tries", "300", "--calls", "3")
    done = run_in(project, *arguments, "--json", "found.json", "--diff", "word.patch", "--write")
    assert done.returncode == 0, done.stderr
    assert "bit-exact in the network and in 6 calls of its kernels" in done.stdout and "all 30 legal orders" in done.stdout
    found = json.loads((project / "found.json").read_text())
    assert found["gained"] == found["before"]["totals"]["cortex-m4"] - found["after"]["totals"]["cortex-m4"] > 0
    assert found["predicted"] == list(found["after"]["totals"].values())
    for side in (found["before"], found["after"]):
        assert sorted(line["unit"] for line in side["lines"]) == list(range(1, 11))
    now = (project / ASSEMBLY).read_text()
    subprocess.run(["patch", "-R", "-s", "-p1", "-i", "word.patch"], cwd=project, check=True)
    assert (project / ASSEMBLY).read_text() == files(BAD)[ASSEMBLY] != now
    (project / ASSEMBLY).write_text(now)
    done = run_in(project, *arguments, "--write")
    assert done.returncode == 0 and "nothing cheaper was found" in done.stdout and (project / ASSEMBLY).read_text() == now


def test_the_command_lists_regions_and_names_what_is_wrong(project: Path, one_line_error) -> None:
    listing = run_in(project, *SEARCH, "--kernels", SET)
    assert listing.returncode == 0 and "word" in listing.stdout and f"{ASSEMBLY}:{line_of(project, 'search: begin')}-{line_of(project, 'search: end')}" in listing.stdout, listing.stdout
    assert "one region is wanted, of word" in one_line_error(2, *SEARCH, "--write", "--kernels", SET, folder=project)
    (project / ASSEMBLY).write_text((project / ASSEMBLY).read_text().replace("    sel     r6, r6, r7\n", "    sel     r6, r6, r7\n1:  nop\n"))
    assert "a label (1:) in a region" in run_in(project, *SEARCH, "--kernels", SET, COLUMNS="300").stdout
    assert f"error: {ASSEMBLY}:{line_of(project, '1:')}: a label (1:) in a region" in one_line_error(3, *SEARCH, "word", "--kernels", SET, folder=project)


@pytest.mark.parametrize(("target", "message"), [
    ("wordd", f"no region, function or file of {FOLDER} is called 'wordd' (did you mean word?)"),
    ("conv2d.c", "no region, function or file"),
])
def test_targets_that_there_are_not(made, target: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        choose.regions(subject.sources(SET, made()), target)


def test_targets_that_there_are(made) -> None:
    root = made(BAD + BAD.replace("word", "again"))
    sources = subject.sources(SET, root)
    for target in (None, "pool.S", ASSEMBLY, "pool_pixel"):
        assert [region.name for region in choose.regions(sources, target)] == ["word", "again"]
    assert choose.regions(sources, "again") == (sources.regions["again"],)
    with pytest.raises(UsageError, match="pool_pixel holds 2 regions, of which one is wanted: word, again"):
        choose.one(choose.regions(sources, "pool_pixel"), "pool_pixel")
    assert choose.one(choose.regions(sources, "pool.S"), "pool.S", "again") is sources.regions["again"]
    with pytest.raises(UsageError, match=r"pool\.S holds no region 'agin' \(did you mean again\?\); there are word, again"):
        choose.one(choose.regions(sources, "pool.S"), "pool.S", "agin")
    with pytest.raises(UsageError, match=r"no region in armsrc/kernels/c: put `@ search: begin NAME`"):
        choose.regions(subject.sources("c"), None)
    with pytest.raises(UsageError, match="no kernel set 'pooll'"):
        subject.sources("pooll", root)
    with pytest.raises(UsageError, match="float kernels"):
        subject.sources("float")
    (root / ASSEMBLY).write_text((root / ASSEMBLY).read_text().replace("begin again", "begin word"))
    with pytest.raises(InputError, match=r"the region word is there twice, first in .*pool\.S:18"):
        subject.sources(SET, root)


@pytest.mark.parametrize(("lines", "message"), [
    ("@ search: begin a\n nop\n", "x.S:1: the region a has no `@ search: end`"),
    ("@ search: begin a\n nop\n@ search: begin b\n", "x.S:3: a region begins inside the one of line 1"),
    (" nop\n@ search: end\n", "x.S:2: no region begins before this"),
    ("@ search: begin\n nop\n@ search: end\n", "x.S:1: a region needs a name"),
    ("@ search: start a\n", "x.S:1: `search: begin NAME` or `search: end` is wanted, not 'start'"),
    ("@ search: begin a nolias\n nop\n@ search: end\n", "x.S:1: 'nolias' means nothing here (did you mean noalias?)"),
    ("@ search: begin a free: r44\n nop\n@ search: end\n", "x.S:1: 'r44' means nothing here"),
    ("@ search: begin a\n.Lx: nop\n@ search: end\n", "x.S:2: a label (.Lx:) in a region"),
    ("@ search: begin a\n .balign 4\n@ search: end\n", "x.S:2: .balign in a region"),
    ("@ search: begin a\n#define x\n@ search: end\n", "x.S:2: #define in a region"),
    ("@ search: begin a\n nop; nop\n@ search: end\n", "x.S:2: one instruction a line"),
    ("@ search: begin a\n it ne\n@ search: end\n movne r0, r1\n", "x.S:2: an IT block's instructions stand in the lines directly behind it"),
])
def test_marks_that_are_wrong(lines: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        for region in marks.parse(lines, "x.S"):
            raise InputError(region.problem)


def test_marks_say_what_is_free_live_and_apart() -> None:
    (region,) = marks.parse("\n// search: begin a free: r11, flags live: r4 lr noalias\n  ite ne @ x\n movne r0, r1\n moveq r0, r2\n add r0, r1 /* y */\n@ search: end\n", "x.S")
    assert (region.name, region.begin, region.end, region.noalias) == ("a", 2, 7, True)
    assert region.free == 1 << 11 | 7 << 16 and region.live == 1 << 4 | 1 << 14
    assert [astuple(item) for item in region.items] == [(3, 3, 5, "ite ne"), (6, 6, 6, "add r0, r1")]


@pytest.mark.parametrize(("instruction", "message"), [
    ("beq.w   .Lword", "it branches, and a region is straight-line code"),
    ("bl      pool_pixel", "it branches"),
    ("ldr     r5, =0x12345678", "what it reads lies at a distance from it"),
    ("mrs     r5, apsr", "it reads or writes system registers"),
])
def test_code_that_cannot_be_reordered_is_named_by_file_and_line(made, instruction: str, message: str) -> None:
    root = made(BAD.replace("maximum r4, r6, r12", instruction))
    with pytest.raises(InputError, match=f"{ASSEMBLY}:{line_of(root, instruction)}: .*{re.escape(message)}"):
        searched(root)


def test_a_jump_into_a_region_is_named_by_file_and_line(made) -> None:
    root = made("    b.w     . + 6                       @ behind the first load\n" + BAD)
    with pytest.raises(InputError, match=f"{ASSEMBLY}:{line_of(root, 'ldr.w   r4')}: the run jumps into the region word here, at 0x0800"):
        searched(root)


def test_a_region_that_does_not_run_and_kernels_that_are_wrong_already(made) -> None:
    root = made("    b.w     .Lpast\n" + BAD + ".Lpast:\n" + "".join(line for line in BAD.splitlines(keepends=True) if "search" not in line))
    with pytest.raises(UsageError, match="the region word does not run in the keyword spotter"):
        searched(root)
    (root / ASSEMBLY).write_text((root / ASSEMBLY).read_text().replace("    b.w     .Lpast\n", ""))
    with pytest.raises(NotBitExact, match="qmaxpool2d_2x2 is not bit-exact"):
        searched(root)
