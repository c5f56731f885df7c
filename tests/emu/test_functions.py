"""Profiles by function: what they add up to, regions, lines, names, and the forms that show them."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from emu import functions
from emu.build.cache import REPOSITORY
from emu.build.toolchain import find
from emu.errors import UsageError
from emu.functions import names, region
from emu.machine import Machine
from emu.machine.code import Instructions, decoded
from emu.report import functions as report
from emu.report.table import printed
from emu.timing import core, pricing
from tests.emu.c_programs import HEAD, SOURCES, Compiler
from tests.emu.target import function

PARTS = (
    HEAD
    + """
NOINLINE int leaf(int n) { return n * 3 + sink; }
NOINLINE int inner(int n) { return leaf(n) + leaf(n + 1) + 1; }
NOINLINE int outer(int n) {
    int sum = inner(n);
    for (int i = 0; i < n; i++)
        sum += leaf(i);  /* the line */
    return sum + 1;
}
int snippet(void) { sink = 2; int sum = leaf(1); sum += outer(5); sum += inner(2); return sum + outer(3); }
"""
)
LINE = PARTS.count("\n", 0, PARTS.index("/* the line */")) + 1


@pytest.fixture(scope="module")
def compiler(tmp_path_factory) -> Compiler:
    return Compiler(tmp_path_factory.mktemp("c"))


def run(image, bounds=None, calls=1) -> tuple[functions.FunctionProfile, Machine]:
    numbering = functions.Numbering(image)
    machine = Machine(image, marks=numbering.marks(bounds), layers=1 if bounds else 0)
    for _ in range(calls):
        machine.call("snippet")
    counts = machine.counts()
    prices = pricing.prices(counts, machine.instructions, core.load("cortex-m4"))
    return functions.profile(counts, image, machine.instructions, numbering, prices, "cortex-m4", region=bounds), machine


def rows(profile) -> dict[str, functions.Function]:
    return {f.name: f for f in profile.functions}


def summed(costs) -> functions.Cost:
    return functions.Cost(*map(sum, zip(*costs, strict=True)))


# --- sums ---


@pytest.mark.parametrize("name", SOURCES)
def test_rows_add_up_to_the_run(compiler, name):
    profile, machine = run(compiler.image(SOURCES[name], "-O2"))
    counts = machine.counts()
    assert summed(f.own for f in profile.functions) == profile.totals == summed(line.cost for line in profile.lines)
    assert profile.totals.instructions == counts.instructions().sum()
    assert profile.totals.cycles == pricing.price(counts, machine.instructions, core.load("cortex-m4")).sum()
    moved = counts.traffic.sum(axis=(0, 1)) @ [1, 2, 4]
    assert (profile.totals.bytes_read, profile.totals.bytes_written) == tuple(moved.tolist())
    assert rows(profile)["snippet"].inclusive == profile.totals
    assert all(own <= inclusive for f in profile.functions for own, inclusive in zip(f.own, f.inclusive, strict=True))
    assert sum(f.calls for f in profile.functions) == sum(site.count for site in profile.calls)


def test_misaligned_accesses_and_divides_are_their_functions(assembler):
    source = (
        function("snippet", "push {r4, lr}\nbl odd\nbl divide\npop {r4, pc}")
        + function("odd", "ldr r1, =0x20000001\nldr r0, [r1]\nbx lr")
        + function("divide", "movs r0, #1\nlsls r0, r0, #30\nmovs r1, #3\nudiv r0, r0, r1\nbx lr")
    )
    profile, machine = run(assembler.image(source))
    assert profile.totals.cycles == pricing.price(machine.counts(), machine.instructions, core.load("cortex-m4")).sum()
    aligned, _ = run(assembler.image(source.replace("0x20000001", "0x20000000").replace("#30", "#0")))
    assert rows(profile)["odd"].own.cycles > rows(aligned)["odd"].own.cycles
    assert rows(profile)["divide"].own.cycles > rows(aligned)["divide"].own.cycles
    assert rows(profile)["snippet"].own == rows(aligned)["snippet"].own


def test_several_runs_add_up(compiler):
    image = compiler.image(SOURCES["recursion"], "-O1")
    once, thrice = run(image)[0], run(image, calls=3)[0]
    assert thrice.totals == functions.Cost(*(3 * figure for figure in once.totals))
    assert {f.name: (3 * f.calls, f.stack) for f in once.functions} == {f.name: (f.calls, f.stack) for f in thrice.functions}


def test_without_symbols_there_is_one_row(assembler):
    source = ".global snippet\nsnippet: push {r4, lr}\nbl .Lother\npop {r4, pc}\n.Lother: bx lr\n"
    profile, _ = run(assembler.image(source + function("unused", "bx lr")))
    assert [(f.name, f.own.instructions) for f in profile.functions] == [("(no symbol)", 4)]


def test_an_image_without_any_function(assembler):
    source = ".global snippet\nsnippet: push {r4, lr}\nmov r0, #1\npop {r4, pc}\n"
    profile, _ = run(assembler.image(source))
    assert [(f.name, f.calls, f.own, f.inclusive) for f in profile.functions] == [("(no symbol)", 0, profile.totals, profile.totals)]
    assert profile.totals.instructions == 3
    assert "(no symbol)" in printed(report.parts(profile, report.View()))


# --- regions ---


def test_a_region_by_symbol_is_every_call_of_it(compiler):
    image = compiler.image(PARTS, "-O1")
    whole, (part, _) = run(image)[0], run(image, region.of_symbol(image, "outer"))
    assert part.entries == 2
    found = rows(part)
    assert found.keys() == {"outer", "inner", "leaf"}
    assert found["outer"] == rows(whole)["outer"]
    assert part.totals == rows(whole)["outer"].inclusive
    assert (found["inner"].calls, found["leaf"].calls) == (2, 2 * 2 + 5 + 3)
    assert {(s.caller, s.callee, s.count) for s in part.calls if s.callee != "outer"} == {
        ("outer", "inner", 2),
        ("inner", "leaf", 2),
        ("outer", "leaf", 8),
    }
    assert sum(s.count for s in part.calls if s.caller == "snippet") == 2


def test_a_recursive_region_is_entered_once(compiler):
    image = compiler.image(SOURCES["recursion"], "-O1")
    whole, (part, _) = run(image)[0], run(image, region.of_symbol(image, "fib"))
    assert part.entries == 1
    assert rows(part)["fib"] == rows(whole)["fib"]
    assert part.totals == rows(whole)["fib"].inclusive


def test_a_region_from_place_to_place(assembler):
    source = function(
        "snippet",
        "push {r4, lr}\nmovs r4, #3\nagain: adds r0, #1\nadds r0, #2\nbl other\nadds r0, #3\nsubs r4, #1\nbne again\npop {r4, pc}",
    ) + function("other", "movs r1, #1\nmovs r2, #2\nbx lr")
    image = assembler.image(source)
    instructions = Instructions(decoded(image))
    part, _ = run(image, region.between(image, instructions, "snippet+6", "snippet+0xC"))  # from the second addition to the fourth
    assert part.entries == 3
    assert {name: (f.own.instructions, f.calls) for name, f in rows(part).items()} == {"snippet": (2 * 3, 0), "other": (3 * 3, 3)}
    part, _ = run(image, region.between(image, instructions, f"0x{image.symbols['other'].address:x}", None))
    assert part.entries == 1
    assert (rows(part)["other"].own.instructions, rows(part)["other"].calls) == (3 * 3, 3)


def test_the_parts_of_a_cut_stream_cost_what_the_table_says(assembler):
    """A cut has no refill: what lies before it and what lies behind it cost as much as the whole."""
    image = assembler.image(function("snippet", "\n".join(["movs r0, #1"] * 20 + ["bx lr"])))
    instructions, whole = Instructions(decoded(image)), run(image)[0].totals
    front = run(image, region.between(image, instructions, "snippet", "snippet+20"))[0].totals
    back = run(image, region.between(image, instructions, "snippet+20", None))[0].totals
    assert front.instructions + back.instructions == whole.instructions
    assert front.cycles + back.cycles == whole.cycles


def test_a_region_by_source_line(compiler):
    image = compiler.image(PARTS, "-O0")
    file = image.source_line(image.symbols["outer"].address).rpartition(":")[0].rpartition("/")[2]
    part, _ = run(image, region.between(image, Instructions(decoded(image)), f"{file}:{LINE}", f"{file}:{LINE + 1}"))
    assert part.entries == 2
    assert rows(part)["leaf"].calls == 5 + 3


@pytest.mark.parametrize(
    ("begin", "end", "says"),
    [
        ("nowhere", None, "no symbol 'nowhere'"),
        ("inne", None, "did you mean inner"),
        ("snippet+1000", None, "no instruction begins at"),
        ("0x10", None, "no instruction begins at 0x00000010"),
        ("file.c:3", None, "no code of that line"),
        ("snippet", "nix", "--to"),
        ("", None, "--from"),
    ],
)
def test_places_that_are_not_there_are_named(compiler, begin, end, says):
    image = compiler.image(PARTS, "-O1")
    with pytest.raises(UsageError, match=says):
        region.between(image, Instructions(decoded(image)), begin, end)


def test_what_is_no_function_is_no_region(compiler):
    image = compiler.image(PARTS, "-O1")
    with pytest.raises(UsageError, match="sink is no function"):
        region.of_symbol(image, "sink")


# --- threads ---


@pytest.fixture(scope="module")
def threads(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("threads")
    script = folder / "threads.ld"
    script.write_text(
        "MEMORY { FLASH (rx) : ORIGIN = 0x08000000, LENGTH = 512K  RAM (rwx) : ORIGIN = 0x20000000, LENGTH = 64K }\n"
        "ENTRY(Reset_Handler)\nSECTIONS {\n .text : { KEEP(*(.vectors)) *(.text*) *(.rodata*) } > FLASH\n .data : { *(.data*) } > RAM AT > FLASH\n"
        " .bss (NOLOAD) : { __bss_start = .; *(.bss* COMMON) . = ALIGN(4); __bss_end = .; } > RAM\n"
        " __stack_top = ORIGIN(RAM) + LENGTH(RAM);\n}\n"
    )
    driver = find()
    done = subprocess.run(
        [
            str(driver.path),
            *driver.flags,
            "-mcpu=cortex-m4",
            "-mthumb",
            "-O2",
            "-g",
            "-nostdlib",
            "-fno-tree-loop-distribute-patterns",
            "-T",
            str(script),
            str(Path(__file__).with_name("threads.c")),
            "-o",
            str(folder / "threads.elf"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stderr
    return folder / "threads.elf"


def of_firmware(elf: Path, *options: str) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "emu.run", str(elf), "--functions", "--json", "-", *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
    )
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)


def test_threads_and_interrupts_disturb_no_figure(threads):
    """fib(7) costs the same each of the 40 times, whatever struck meanwhile; handlers are called as often as exceptions are taken."""
    document = of_firmware(threads)["functions"]
    found = {row["name"]: row for row in document["functions"]}
    assert found["busy_a"]["inclusive"]["instructions"] % 40 == 0
    assert found["busy_a"]["calls"] == 40
    assert sum(row["self"]["cycles"] for row in found.values()) == document["totals"]["cycles"]
    sites = {(row["caller"], row["callee"]): row["count"] for row in document["calls"] if row["kind"] in ("call", "tail")}
    part = of_firmware(threads, "--region", "busy_a")["functions"]
    inside = {row["name"]: row for row in part["functions"]}
    assert part["entries"] == 40
    assert inside.keys() == {"busy_a", "fib"}
    assert part["totals"] == found["busy_a"]["inclusive"]
    assert inside["fib"]["calls"] % 40 == 0
    handlers = [found[name] for name in ("SysTick_Handler", "PendSV_Handler", "SVC_Handler")]
    assert all(row["calls"] for row in handlers)
    assert sites["PendSV_Handler", "pick"] == found["PendSV_Handler"]["calls"]
    assert sites["task_idle", "idle_work"] == found["idle_work"]["calls"]
    assert (
        found["task_b"]["inclusive"]["instructions"]
        == found["task_b"]["self"]["instructions"] + found["busy_b"]["inclusive"]["instructions"]
    )
    starts = {row["callee"] for row in document["calls"] if row["kind"] == "start"}
    assert starts == {"Reset_Handler", "task_b", "task_idle"}


# --- lines and names ---


def test_lines_of_source(compiler):
    profile, _ = run(compiler.image(PARTS, "-O1"))
    in_outer = {line.line.rpartition(":")[2]: line.cost.instructions for line in profile.lines if line.function == "outer"}
    assert int(max(in_outer, key=in_outer.get)) in (LINE - 1, LINE)
    assert sum(in_outer.values()) == rows(profile)["outer"].own.instructions
    assert [line.cost.cycles for line in profile.lines] == sorted((line.cost.cycles for line in profile.lines), reverse=True)


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("main", "main"),
        ("_Z3addii", "add(int, int)"),
        ("_ZN3lab6SquareC1Ei", "lab::Square::Square(int)"),
        ("_ZN3lab5twiceIlEET_S1_", "long lab::twice<long>(long)"),
        ("_Z3addii.part.0", "add(int, int) [clone .part.0]"),
        ("_ZNK3lab6Square4areaEv", "lab::Square::area() const"),
        ("_Zbroken", "_Zbroken"),
        ("_Z" + "9" * 40, "_Z" + "9" * 40),
        ("_Z", "_Z"),
        ("add.constprop.0", "add.constprop.0"),
        ("_ZN4core3fmt9Formatter3pad17h9b2b3a0e5b4d1b31E", "core::fmt::Formatter::pad"),
    ],
)
def test_names_are_demangled(symbol, name):
    assert names.demangled(symbol) == name


def test_functions_of_one_name_are_told_apart(assembler):
    source = (
        function("snippet", "push {r4, lr}\nbl twin\nbl other\npop {r4, pc}")
        + function("other", "bx lr")
        + function("twin", "bx lr").replace(".global twin", "")
    )
    image = assembler.image(source)
    other = next(f for f in image.functions if f.name == "other")
    object.__setattr__(other, "name", "twin")  # as if from another file
    profile, _ = run(image)
    assert sorted(rows(profile)) == ["snippet", *sorted(f"twin@0x{f.address:08x}" for f in image.functions if f.name == "twin")]
    with pytest.raises(UsageError, match="2 functions are called twin"):
        report.find(profile, "twin")


# --- forms ---


def test_the_table(compiler):
    profile, _ = run(compiler.image(PARTS, "-O1"))
    text = printed(report.parts(profile, report.View(top=2, callers="leaf", lines=True)))
    assert "2 more" in text
    assert f"{profile.totals.cycles:,}" in text
    assert text.count("called") >= 4
    with pytest.raises(UsageError, match="did you mean leaf"):
        printed(report.parts(profile, report.View(callers="leav")))


def test_json_and_csv(compiler):
    profile, _ = run(compiler.image(PARTS, "-O1"))
    document = report.document(profile)
    assert sum(row["self"]["cycles"] for row in document["functions"]) == document["totals"]["cycles"] == profile.totals.cycles
    assert (document["region"], document["entries"], document["complete"]) == (None, None, True)
    assert {row["callee"]: row["caller"] for row in document["calls"] if row["kind"] == "start"} == {"snippet": None}
    assert sum(row["cycles"] for row in document["lines"]) == profile.totals.cycles
    table = list(csv.DictReader(io.StringIO(report.render_csv(profile))))
    assert [row["name"] for row in table] == [f.name for f in profile.functions]
    assert [int(row["inclusive_cycles"]) for row in table] == [f.inclusive.cycles for f in profile.functions]


def test_more_paths_than_are_kept_are_said(compiler):
    """Six rows of eight functions, each calling all of the next row: 8 + 8**2 + ... + 8**6 paths."""
    rows_of = [[f"f{row}_{n}" for n in range(8)] for row in range(6)]
    parts = [HEAD, *(f"NOINLINE int {name}(int);\n" for row in rows_of for name in row)]
    for row, following in zip(rows_of, [*rows_of[1:], []], strict=True):
        parts += [f"NOINLINE int {name}(int n) {{ return sink {''.join(f'+ {other}(n)' for other in following)} + n; }}\n" for name in row]
    parts.append(f"int snippet(void) {{ sink = 1; return {' + '.join(f'{name}(1)' for name in rows_of[0])}; }}\n")
    profile, machine = run(compiler.image("".join(parts), "-O1"))
    assert not profile.complete
    assert summed(f.own for f in profile.functions) == profile.totals
    assert profile.totals.instructions == machine.counts().instructions().sum()
    assert "lower bounds" in printed(report.parts(profile, report.View()))
