"""`python -m emu.experiment annotate` as a user types it, and how listings are drawn."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from emu import kws
from emu.build.cache import REPOSITORY, cache_dir
from emu.errors import ThumbcycleError, UsageError
from emu.experiment.__main__ import main
from emu.experiment.listing import FunctionListing, Listing, Loop, Row
from emu.profile import Traffic
from emu.report.annotate import Shown
from emu.report.listing import Paint, View, lines
from emu.report.sources import MOST_BYTES, Sources
from tests.cli.conftest import Run

ANNOTATE = ("emu.experiment", "annotate")
PROGRAM = """
int table[8];
__attribute__((noinline)) int twice(int x) { return 2 * x; }
__attribute__((noinline)) int never(int x) { return 3 * x; }
int main(int argc) {
    for (int i = 0; i < 8; i++)
        table[i] = twice(i);
    return argc == 77 ? never(argc) : 5;
}
"""


@pytest.fixture(scope="module")
def elf(builder) -> Path:
    return builder.elf(PROGRAM)


@pytest.fixture
def printed(capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """printed(arguments): what the command prints, in this process."""
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: str) -> str:
        main.main(["annotate", *arguments], standalone_mode=False)
        return capsysbinary.readouterr().out.decode()

    return call


# --- the command ---


def test_all_of_the_main_job(run: Run) -> None:
    done = run(*ANNOTATE)
    assert done.returncode == 0 and not done.stderr
    cycles = kws.judged(kws.Job())[0].totals.cycles
    assert f" {cycles:,} cycles\n" in done.stdout
    assert "kws int8, thumb2 kernels, input yes, on a modelled cortex-m4 with zero-wait memory" in done.stdout
    assert "\x1b" not in done.stdout
    for words in ("┌", "│", "└", "loop:", "iterations of", "that did not run", "conv2d_walk.inc:", "weights", "cycles by reason", "branch refill",
                  "unpaired load"):
        assert words in done.stdout, words
    assert re.search(r"^ *[\d,]+ +\d+\.\d% +[\d,]+ +[\d.]+ [│└]* +[0-9a-f]{8}  [0-9a-f]{4}( [0-9a-f]{4})? +\w", done.stdout, re.MULTILINE)


def test_a_layer_as_json(printed) -> None:
    found = json.loads(printed("qdense_16x10", "--kernels", "c", "--json", "-"))
    assert (found["schema"], found["core"], found["memory"], found["scope"]) == (1, "cortex-m4", "zero-wait", "layer qdense_16x10")
    profile = kws.judged(kws.Job(kernels="c"))[0]
    (layer,) = (row for row in profile.layers if row.name == "qdense_16x10")
    assert (found["cycles"], found["instructions"], found["total"]) == (layer.cycles, layer.instructions, profile.totals.cycles)
    rows = [row for function in found["functions"] for row in function["rows"]]
    assert sum(row["cycles"] for row in rows) == layer.cycles
    assert sum(row["skipped"] for row in rows) == layer.skipped
    moved = sum(traffic["bytes_read"] + traffic["bytes_written"] for row in rows for traffic in row["tensors"].values())
    assert moved == layer.bytes_read + layer.bytes_written
    assert sum(found["reasons"].values()) + found["minimum"] == found["cycles"] and set(found["legend"]) == set(found["reasons"])
    assert all(len(row["bytes"]) in (4, 8) and row["file"].startswith("armsrc/") for row in rows)
    assert {loop["depth"] for function in found["functions"] for loop in function["loops"]} == {0, 1}


def test_csv_and_markdown(printed, tmp_path: Path) -> None:
    text = printed("dense_s8", "--csv", str(tmp_path / "l.csv"), "--markdown", str(tmp_path / "l.md"), "--top", "1")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "l.csv").read_text())))
    total = int(re.search(r"function dense_s8: [\d,]+ instructions, ([\d,]+) of", text)[1].replace(",", ""))
    assert sum(int(row["cycles"]) for row in rows) == total
    text = (tmp_path / "l.md").read_text()
    assert text.startswith("### kws int8") and "<details><summary><code>dense_s8</code>" in text and "| **total** |" in text


def test_top_all_and_source(printed) -> None:
    first = printed("--top", "1", "--no-source")
    assert "more (--top)" in first and first.count("cycles  share") == 1
    of_source = re.compile(r"^ +\w+\.(inc|S):\d+ ", re.MULTILINE)
    assert of_source.search(printed("--top", "1")) and not of_source.search(first)
    everything = printed("--top", "1", "--no-source", "--all")
    assert "that did not run" in first and "that did not run" not in everything
    assert len(everything.splitlines()) > len(first.splitlines())


def test_a_firmware(run: Run, printed, elf: Path) -> None:
    done = run(*ANNOTATE, "--elf", str(elf))
    assert done.returncode == 0 and done.stderr == "note: main returned 5\n"
    assert "board generic, on a modelled cortex-m4" in done.stdout and "table +32" in done.stdout
    assert "loop: 8 iterations" in done.stdout and "table[i] = twice(i);" in done.stdout
    found = json.loads(printed("twice", "--elf", str(elf), "--json", "-"))
    (function,) = found["functions"]
    assert (function["name"], function["calls"], function["layers"], found["scope"]) == ("twice", 8, [], "function twice")


def test_a_source_that_is_not_there_or_newer(printed, elf: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved.elf"
    moved.write_bytes(elf.read_bytes())
    (source,) = elf.parent.glob(f"{elf.stem}.c")
    text = source.read_text()
    try:
        os.utime(source, (time.time() + 100,) * 2)
        assert f"note: source that changed after the program was built: {source}" in printed("main", "--elf", str(moved))
        source.unlink()
        done = printed("main", "--elf", str(moved))
        assert f"note: source that cannot be read: {source}" in done and f"{source.name}:6" in done and "twice(i)" not in done
    finally:
        source.write_text(text)


def test_a_stripped_program(printed, elf: Path, tmp_path: Path) -> None:
    from emu.build.toolchain import find

    bare = tmp_path / "bare.elf"
    subprocess.run([str(find().path).removesuffix("gcc") + "objcopy", "--strip-all", str(elf), str(bare)], check=True)
    done = printed("--elf", str(bare))
    assert "note: the image has no symbols, so code cannot be told apart by function (was it stripped?)" in done
    assert "note: the image has no debug information, so no lines of source (compile with -g)" in done
    assert "(no symbol)" in done


def test_a_fault_is_shown_up_to_where_it_was(run: Run, builder) -> None:
    elf = builder.elf("int main(void) { return *(volatile int *)0x70000000; }")
    done = run(*ANNOTATE, "main", "--elf", str(elf))
    assert done.returncode == 5 and "function main" in done.stdout
    assert done.stderr.splitlines()[-1].startswith("error: ") and "0x70000000" in done.stderr


def test_what_did_not_run_because_of_a_fault(builder) -> None:
    elf = builder.elf("int later(void) { return 1; } int main(void) { return *(volatile int *)0x70000000 + later(); }", "-fno-inline")
    with pytest.raises(UsageError, match="later did not run; the run ended so: .*0x70000000"):
        main.main(["annotate", "later", "--elf", str(elf)], standalone_mode=False)


@pytest.mark.parametrize(("status", "arguments", "message"), [
    (2, ("qdence_16x10",), "no layer or function 'qdence_16x10' (did you mean qdense_16x10?)"),
    (2, ("clamp_output",), "clamp_output did not run"),
    (2, ("--layer", "dense_s8"), "--layer: no layer 'dense_s8'"),
    (2, ("--board", "stm32f407"), "--board means nothing without --elf"),
    (2, ("--core", "cortex-m44"), "did you mean cortex-m4?"),
    (2, ("--memory", "sram9"), "no memory 'sram9'"),
    (2, ("--json", "-", "--csv", "-"), "only one of them can be printed"),
    (3, ("--json", "/nowhere/x.json"), "there is no folder"),
    (3, ("--elf", "none.elf"), "none.elf: No such file"),
    (3, ("--elf", "README.md"), "README.md: "),
])
def test_wrong_input(status, arguments, message) -> None:
    with pytest.raises((ThumbcycleError, click.UsageError)) as caught:
        main.main(["annotate", *arguments], standalone_mode=False)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert getattr(caught.value, "status", 2) == status


@pytest.mark.parametrize(("arguments", "message"), [
    (("--kernels", "c"), "--kernels means nothing with --elf"),
    (("never",), "never did not run"),
    (("twise",), "no function 'twise' (did you mean twice?)"),
    (("main", "--layer", "qdense_16x10"), "--layer: a firmware has no layers"),
])
def test_wrong_input_of_a_firmware(elf: Path, arguments, message) -> None:
    with pytest.raises(UsageError) as caught:
        main.main(["annotate", "--elf", str(elf), *arguments], standalone_mode=False)
    assert message in str(caught.value)


def test_an_error_is_one_line(one_line_error) -> None:
    assert "did you mean dense_s8?" in one_line_error(2, *ANNOTATE, "dense_s9")


# --- terminals ---


def in_terminal(*arguments: str, **environment: str) -> tuple[int, str]:
    """Exit status and what a terminal got."""
    leader, follower = pty.openpty()
    variables = {**os.environ, "THUMBCYCLE_CACHE": str(cache_dir()), "TERM": "xterm-256color", "COLUMNS": "200"} | environment
    variables.pop("NO_COLOR", None) if "NO_COLOR" not in environment else None
    process = subprocess.Popen([sys.executable, "-m", *arguments], cwd=REPOSITORY, env=variables, stdin=follower, stdout=follower, stderr=subprocess.DEVNULL)
    os.close(follower)
    data = b""
    try:
        while block := os.read(leader, 65536):
            data += block
    except OSError:  # the other end was closed
        pass
    os.close(leader)
    return process.wait(), data.decode(errors="replace")


def test_a_pager_gets_it_in_colour() -> None:
    status, text = in_terminal(*ANNOTATE, "dense_s8", PAGER="sed s/^/paged:/")
    assert status == 0 and text.count("paged:") == text.count("\n") > 20
    assert "\x1b[1;31m" in text  # hot


def test_no_color() -> None:
    status, text = in_terminal(*ANNOTATE, "dense_s8", PAGER="cat", NO_COLOR="1")
    assert status == 0 and "dense_s8 in qdense_16x10" in text and not re.search(r"\x1b\[[\d;]*3\dm", text)


def test_a_pager_that_is_none() -> None:
    status, text = in_terminal(*ANNOTATE, "dense_s8", PAGER="less '")
    assert status == 0 and "dense_s8 in qdense_16x10" in re.sub(r"\x1b\[[\d;]*m", "", text)


def test_a_pager_that_quits_early_is_no_error() -> None:
    status, text = in_terminal(*ANNOTATE, PAGER="head -n 1")
    assert status == 0 and text.count("\n") == 1


# --- drawing ---


ALL = View()


def loop(start: int, end: int, depth: int, iterations: int, cycles: int, share: float, *parts: tuple[int, int]) -> Loop:
    return Loop(start, end, depth, iterations, cycles, share, parts or ((start, end),))


def row(address: int, executed: int = 1, **figures: object) -> Row:
    return Row(address, b"\x00\xbf", "nop", executed=executed, cycles=executed, minimum=executed, **figures)


def drawn(rows: list[Row], loops: list[Loop], view: View = ALL) -> list[str]:
    function = FunctionListing("f", "f", 0, (), tuple(rows), tuple(loops), 1, sum(r.executed for r in rows), sum(r.cycles for r in rows),
                               sum(r.minimum for r in rows), 1.0, {})
    return list(lines(function, view, Paint(False)))[2:]


def test_nothing_ran() -> None:
    empty = Listing("x", "cortex-m4", "zero-wait", "everything that ran", (), 0, 0, 0, 0, {})
    assert "0 instructions, 0 cycles" in Shown(empty, ALL).terminal() and Shown(empty, ALL).csv().count("\n") == 1


def test_nested_loops() -> None:
    rows = [row(0), row(2, 5), row(4, 50), row(6, 50), row(8, 5), row(10)]
    text = drawn(rows, [loop(2, 8, 0, 5, 110, 0.982), loop(4, 6, 1, 50, 100, 0.893)])
    assert [line[28:30] for line in text] == ["  ", "┌ ", "│ ", "│┌", "││", "│└", "└ ", "  "]
    assert "loop: 5 iterations of 22 cycles, 110 in all, 98.2% of the function" in text[1]


def test_a_loop_of_one_instruction_and_two_behind_each_other() -> None:
    text = drawn([row(0, 9), row(2, 9), row(4, 9)], [loop(0, 0, 0, 9, 9, 0.3), loop(2, 4, 0, 9, 18, 0.6)])
    assert [line[28:29] for line in text] == ["┌", "└", "┌", "│", "└"]


def test_a_loop_in_two_parts_around_another() -> None:
    """As gcc -Os lays code out: the body behind the function's end."""
    rows = [row(address, 3) for address in range(0, 14, 2)]
    text = drawn(rows, [loop(0, 10, 0, 3, 9, 0.4, (0, 2), (10, 10)), loop(4, 12, 0, 3, 9, 0.4, (4, 6), (12, 12))])
    assert [line[28:29] for line in text] == list("┌││┌││┆├└├└")
    assert "the loop at 00000000 goes on" in text[-4] and "the loop at 00000004 goes on" in text[-2]


def test_what_did_not_run_is_folded_within_its_loop() -> None:
    rows = [row(0, 5), row(2, 0), row(4, 0), row(6, 5)]
    text = drawn(rows, [loop(0, 6, 0, 5, 10, 1.0)])
    assert "│ ... 2 instructions that did not run" in text[2] and len(text) == 4
    assert len(drawn(rows, [], View(all_rows=True))) == 4


def test_a_row() -> None:
    only = Row(0x1234, b"\x5f\xf8\x08\x0b", "ldr.w r0, [pc, #8]", "= 0x20000000 buffer", None, None, 4, 1, 11, 8, {"fetch": 2, "skipped": 1},
               {"stack": Traffic(3, 0, 12, 0), "output": Traffic(0, 1, 0, 4), "scratch": Traffic(2, 1, 8, 4)})
    (text,) = drawn([only], [])
    assert " ".join(text.split()) == ("11 100.0% 4 2.75 00001234 f85f 0b08 ldr.w r0, [pc, #8] +0.5 fetch, +0.25 skipped stack 12, output +4, scratch 8 +4 "
                                      "skipped 1 of 4; = 0x20000000 buffer")


def test_lines_of_source_stand_where_they_change(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("int f() {\n\treturn 1;\n}\n")
    rows = [row(address, file="a.c", line=line) for address, line in ((0, 1), (2, 2), (4, 2), (6, 1), (8, 9))]
    text = drawn(rows, [], View(sources=Sources([tmp_path])))
    assert [line.strip() for line in text if "a.c" in line] == ["a.c:1  int f() {", "a.c:2  return 1;", "a.c:1  int f() {", "a.c:9"]


def test_assembly_that_says_no_more_than_the_instruction_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.S").write_text("    nop\n    nop  @ why\n    mov.w   r9, r12\n")
    other = Row(4, b"\0" * 4, "mov sb, ip", "", "a.S", 3, 1, 0, 1, 1)
    text = drawn([row(0, file="a.S", line=1), row(2, file="a.S", line=2), other], [], View(sources=Sources([tmp_path])))
    assert [line.strip() for line in text if "a.S" in line] == ["a.S:2  nop  @ why"]


def test_sources_read_source_alone(tmp_path: Path) -> None:
    """Debug information can name any file."""
    for name in ("secret", "secret.txt", "large.c", "folder.c", "pipe.c"):
        path = tmp_path / name
        os.mkfifo(path) if name == "pipe.c" else path.mkdir() if name == "folder.c" else path.write_text("x\n" * (MOST_BYTES if "large" in name else 1))
    sources = Sources([tmp_path])
    files = ["/etc/passwd", "secret", "secret.txt", "large.c", "folder.c", "pipe.c", "none.c", "nul\0.c"]
    assert [sources.text(file, 1) for file in files] == [None] * len(files) and sources.missing == files
    assert sources.text(None, 1) is sources.text("none.c", None) is None
