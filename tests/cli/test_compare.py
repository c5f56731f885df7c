"""`python -m emu.experiment compare` as a user types it."""

from __future__ import annotations

import csv
import functools
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from emu.build import revision
from emu.build.cache import REPOSITORY
from emu.errors import UsageError
from emu.experiment.sides import columns, parse
from tests.cli.conftest import called_in, run_in

COMPARE = ("emu.experiment", "compare")
FIGURES = ("instructions", "cycles", "bytes_read", "bytes_written", "stack_bytes")
KERNEL = "armsrc/kernels/thumb2/conv2d_walk.inc"
CALL = "    bl      walk_pad\n"
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@functools.cache
def compared(*arguments: str) -> dict:
    """What --json says of a comparison, made once."""
    done = called_in(REPOSITORY, *COMPARE, *arguments, "--json", "-")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def rows(facts: dict) -> list[dict]:
    return [*facts["layers"], facts["outside"], facts["totals"]]


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def committed(folder: Path) -> None:
    git(folder, "add", "armsrc")
    git(folder, "commit", "-q", "-m", "armsrc")


def edited(folder: Path, after: str) -> None:
    """One or more lines behind a call in the first layer."""
    kernel = folder / KERNEL
    text = kernel.read_text()
    assert text.count(CALL) == 1
    kernel.write_text(text.replace(CALL, CALL + after))


@pytest.mark.parametrize(("side", "options"), [
    ("thumb2", ()),
    ("c:-Os", ("--kernels", "c", "--opt", "Os")),
    ("c:core=cortex-m7,memory=stm32f407-168mhz", ("--kernels", "c", "--core", "cortex-m7", "--memory", "stm32f407-168mhz")),
    ("float", ("--kernels", "float")),
])
def test_a_sides_figures_are_emu_runs(run, side, options) -> None:
    single = json.loads(run("emu.run", "kws", "--input", "stop", *options, "--json", "-").stdout)
    one = compared("c", side, "--input", "stop")["sides"][1]
    assert one["image"] == single["image"] and one["flags"] == single["flags"] and one["kernels"] == single["kernels"]
    assert one["core"] == single["core"] and one["memory"] == single["memory"]
    for row, expected in zip(rows(one), rows(single), strict=True):
        assert {key: row[key] for key in (*FIGURES, "name", "bit_exact", "max_abs_error")} == {
            key: expected[key] for key in (*FIGURES, "name", "bit_exact", "max_abs_error")}


def test_differences_and_the_functions_that_they_come_from() -> None:
    found = compared("thumb2", "c", "c:core=cortex-m33")
    first = found["sides"][0]
    for side in found["sides"]:
        for row, against in zip(rows(side), rows(first), strict=True):
            for key in found["figures"]:
                assert row["difference"][key] == row[key] - against[key]
                assert abs(row["percent"][key] - 100 * row["difference"][key] / against[key]) < 1e-9
    for number, side in enumerate(found["sides"]):
        for row, against in zip(rows(side)[:-1], rows(first)[:-1], strict=True):
            own = [line["difference"][number] for line in found["functions"] if line["layer"] == against["name"]]
            assert sum(own) == row["difference"]["cycles"]
    largest = [max(map(abs, line["difference"])) for line in found["functions"]]
    assert largest == sorted(largest, reverse=True) and largest[-1] > 0
    assert found["functions"][0]["function"] == "conv2d_s8" and not any("@" in line["function"] for line in found["functions"])


def test_code_bytes_are_the_sizes_of_what_ran(run) -> None:
    """Held against the ELF's symbols, as pyelftools reads them."""
    from elftools.elf.elffile import ELFFile

    side = compared("c", "c:-Os")["sides"][1]
    with open(side["image"]["path"], "rb") as file:
        sizes = {symbol.name: symbol["st_size"] for symbol in ELFFile(file).get_section_by_name(".symtab").iter_symbols()
                 if symbol["st_info"]["type"] == "STT_FUNC"}
    dense = side["layers"][-1]
    ran = json.loads(run("emu.run", "kws", "--kernels", "c", "--opt", "Os", "--functions", "--json", "-").stdout)["functions"]["functions"]
    assert side["totals"]["code_bytes"] == sum(sizes[function["symbol"]] for function in ran)
    assert sizes["dense_s8"] <= dense["code_bytes"] < side["totals"]["code_bytes"]


def test_options_of_the_compiler_reach_it() -> None:
    plain, unrolled = compared("c", "c:-O2,-funroll-loops,-DNOTHING=1")["sides"]
    assert unrolled["flags"][-3:] == ["-O2", "-funroll-loops", "-DNOTHING=1"]
    assert unrolled["totals"]["instructions"] != plain["totals"]["instructions"] and unrolled["bit_exact"]


def test_another_compiler(tmp_path: Path) -> None:
    own = compared("thumb2", "c")["sides"][0]["toolchain"]["path"]
    wrapper = tmp_path / "other-gcc"
    wrapper.write_text(f'#!/bin/sh\nexec {own} "$@"\n')
    wrapper.chmod(0o755)
    first, second = compared("thumb2", f"thumb2:cc={wrapper}")["sides"]
    assert second["toolchain"]["path"] == str(wrapper) and second["totals"]["cycles"] == first["totals"]["cycles"]


def test_defaults_are_for_sides_that_say_nothing() -> None:
    sides = compared("thumb2", "thumb2:core=cortex-m33", "--core", "cortex-m7", "--memory", "stm32f407-16mhz")["sides"]
    assert [(side["core"], side["memory"]) for side in sides] == [("cortex-m7", "stm32f407-16mhz"), ("cortex-m33", "stm32f407-16mhz")]


def test_the_tables(run) -> None:
    done = run(*COMPARE, "thumb2", "c", "--top", "3")
    assert done.returncode == 0
    lines = [[cell.strip() for cell in line.strip("│").split("│")] for line in done.stdout.splitlines() if line.startswith("│")]
    facts = compared("thumb2", "c")["sides"]
    (first, second) = [line for line in lines if len(line) == 9][-2:]
    assert first[:2] == ["total", "thumb2"] and first[-1] == "yes"
    assert first[2:4] == [f"{facts[0]['totals'][key]:,}" for key in ("instructions", "cycles")]
    percent = facts[1]["totals"]["percent"]["cycles"]
    assert second[3].split() == [f"{facts[1]['totals']['cycles']:,}", f"{percent:+.1f}%"]
    functions = [line for line in lines if len(line) == 6]
    assert len(functions) == 5 and "more, and what is equal" in functions[3][1]
    numbers = [[int(line[column].replace(",", "") or 0) for column in (2, 3, 4)] for line in functions]
    assert [sum(column) for column in zip(*numbers[:-1], strict=True)] == numbers[-1]
    assert "thumb2: thumb2 kernels, " in done.stdout and done.stdout.count("; bit-exact") == 2


def test_equal_sides_say_so(run) -> None:
    done = run(*COMPARE, "thumb2", "thumb2:-DNOTHING")
    assert "no function's cycles differ" in done.stdout


def test_csv(run) -> None:
    done = run(*COMPARE, "c", "c:-Os", "--csv", "-")
    table = list(csv.DictReader(io.StringIO(done.stdout)))
    second = compared("c", "c:-Os")["sides"][1]
    assert len(table) == 2 * 7 and [row["side"] for row in table[:2]] == ["c", "c:-Os"]
    for row, facts in zip(table[1::2], rows(second)[:-1], strict=True):
        assert all(row[key] == str(facts[key]) and row[f"percent_{key}"] == str(facts["percent"][key]) for key in (*FIGURES, "code_bytes"))


def test_markdown(run, tmp_path: Path) -> None:
    target = tmp_path / "c.md"
    assert run(*COMPARE, "thumb2", "c", "float", "--markdown", str(target)).returncode == 0
    lines = target.read_text().splitlines()
    table = [line.count("|") for line in lines if line.startswith("|")]
    assert table == [10] * (2 + 8 * 3 + 2 + 10 + 2)  # nine columns each: eight rows of three sides; ten functions, the others, the total
    assert sum(bool(re.fullmatch(r"(\| ---:? )+\|", line)) for line in lines) == 2
    assert [line.split(":")[0] for line in lines if line.startswith("- ")] == ["- thumb2", "- c", "- float"]
    assert any("qconv2d\\_3x3\\_8" in line for line in lines)


# --- revisions ---


@needs_git
def test_a_revision_against_the_edited_files(copy: Path) -> None:
    git(copy, "init", "-q")
    committed(copy)
    edited(copy, "    nop\n" * 8)
    done = run_in(copy, *COMPARE, "thumb2@HEAD", "thumb2", "--json", "-")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    before, now = found["sides"]
    assert before["commit"] == git(copy, "rev-parse", "HEAD") and before["revision"] == "HEAD" and now["commit"] is None
    assert now["bit_exact"] and now["totals"]["difference"]["instructions"] > 0
    assert {(line["layer"], line["function"]) for line in found["functions"]} == {("qconv2d_3x3_8", "conv2d_s8.walk")}

    committed(copy)
    done = run_in(copy, *COMPARE, "thumb2@HEAD~1", "thumb2@HEAD", "--json", "-")
    again = json.loads(done.stdout)
    assert [side["totals"]["cycles"] for side in again["sides"]] == [side["totals"]["cycles"] for side in found["sides"]]
    assert [side["image"]["sha256"] for side in again["sides"]] == [side["image"]["sha256"] for side in found["sides"]]
    assert git(copy, "status", "--porcelain", "armsrc") == ""


@needs_git
def test_a_revision_in_a_folder_of_a_larger_repository(tmp_path: Path) -> None:
    inner = tmp_path / "libraries" / "thumbcycle"
    for package in ("armsrc", "emu", "kwsq"):
        shutil.copytree(REPOSITORY / package, inner / package, ignore=shutil.ignore_patterns("recordings", "html"))
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "all")
    edited(inner, "    nop\n")
    found = json.loads(run_in(inner, *COMPARE, "thumb2", "thumb2@HEAD", "--json", "-").stdout)
    assert found["sides"][1]["totals"]["difference"]["instructions"] < 0


@needs_git
def test_revisions_that_there_are_not(copy: Path, one_line_error) -> None:
    line = one_line_error(2, *COMPARE, "thumb2", "thumb2@HEAD", folder=copy)
    assert f"thumb2@HEAD: no revision 'HEAD': {copy} is not in a git repository" in line
    git(copy, "init", "-q")
    git(copy, "commit", "-q", "--allow-empty", "-m", "empty")
    for name in ("HEAD~3", "v1", "--help"):
        with pytest.raises(UsageError, match=f"^no revision '{name}' in the git repository {copy}$"):
            revision.sources(name, copy)
    with pytest.raises(UsageError, match="^the revision 'HEAD' has no folder armsrc$"):
        revision.sources("HEAD", copy)


@needs_git
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give a repository to somebody else")
def test_a_repository_that_git_does_not_trust(copy: Path, one_line_error) -> None:
    git(copy, "init", "-q")
    os.chown(copy, 65534, 65534)
    home = copy / "emu"  # without a .gitconfig
    line = one_line_error(2, *COMPARE, "thumb2", "thumb2@HEAD", folder=copy, HOME=str(home), SUDO_UID="")
    assert "no revision 'HEAD': git: detected dubious ownership" in line or "unsafe repository" in line


def test_without_git(one_line_error, run, tmp_path: Path) -> None:
    compiler = json.loads(run("emu.run", "kws", "--json", "-").stdout)["toolchain"]["path"]
    line = one_line_error(2, *COMPARE, f"c:cc={compiler}", f"c@HEAD:cc={compiler}", PATH=str(tmp_path))
    assert "git, which is not on PATH" in line


# --- wrong ---


def test_a_side_that_is_not_bit_exact(copy: Path) -> None:
    kernel = copy / "armsrc/kernels/c/pointwise.c"
    text, last = kernel.read_text(), "    requantize_pixel(acc, p->out_c, p->requant, p->per_channel, y);\n}\n"
    assert text.endswith(last)
    kernel.write_text(text.removesuffix(last) + last.replace("}", "    y[0] = 77;\n}"))
    done = run_in(copy, *COMPARE, "thumb2", "c")
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: c: layer qdense_16x10 is not bit-exact: element (0,) is 77, the reference says ")
    assert "NOT bit-exact: layer qdense_16x10" in done.stdout and re.search(r"│ +NO │", done.stdout)


@pytest.mark.parametrize(("status", "arguments", "message"), [
    (2, (), "compare takes two sides or more"),
    (2, ("thumb2",), "compare takes two sides or more"),
    (2, ("c", "c"), "the side c is there twice"),
    (2, ("c", "c:-O3"), "c and c:-O3 are the same side"),
    (2, ("c", "c:core=cortex-m7", "--core", "cortex-m7"), "are the same side"),
    (2, ("thumb2", "thunb2"), "thunb2: no kernel set 'thunb2' (there are c, float, fused, m0, thumb2, and no folder thunb2 here); did you mean thumb2?"),
    (2, ("c", ""), "'' is no side"),
    (2, ("c", "c:"), "'c:' is no side"),
    (2, ("c", "c@"), "'c@' is no side"),
    (2, ("c", ":-Os"), "':-Os' is no side"),
    (2, ("c", "c:cor=cortex-m3"), "c:cor=cortex-m3: no key 'cor' (did you mean core=?)"),
    (2, ("c", "c:-Os,,core=cortex-m3"), "no key ''"),
    (2, ("c", "c:core"), "core= wants a value"),
    (2, ("c", "c:memory="), "memory= wants a value"),
    (2, ("c", "c:core=cortex-m3,core=cortex-m4"), "core= is there twice"),
    (2, ("c", "c:core=cortex-m44"), "c:core=cortex-m44: no core 'cortex-m44' (did you mean cortex-m4?)"),
    (2, ("c", "c:memory=sram"), "c:memory=sram: no memory 'sram'"),
    (2, ("c", "c:-O9"), "no optimization '-O9'"),
    (2, ("c", "c:-O1,-Os"), "one level of optimization is wanted, not -O1 and -Os"),
    (2, ("c", "c:-mcpu=cortex-m3"), "the core's name says what the code is for"),
    (2, ("c", "c:-fprofile-use=x"), "it reads or writes files of its own"),
    (2, ("c", "c:-Ifolder"), "-Ifolder cannot be compared"),
    (2, ("c", "c:-f"), "-f cannot be compared"),
    (2, ("c", "c:-DA=\x01"), r"'-DA=\x01' cannot be compared: it cannot be printed"),
    (2, ("c", "thumb2", "--input", "yess"), "no word 'yess'"),
    (2, ("c", "thumb2", "--json", "-", "--csv", "-"), "only one of them can be printed"),
    (2, ("c", "thumb2", "--top", "0"), "--top"),
    (3, ("c", "thumb2", "--markdown", "/no/such/folder/c.md"), "/no/such/folder"),
    (4, ("c", "c:-flto"), "cannot be told from others"),
    (4, ("c", "c:cc=/no/gcc"), "c:cc=/no/gcc: --cc /no/gcc: no such compiler"),
    (4, ("c", f"c:cc={sys.executable}"), "c:cc="),
    (4, ("c", "c:-fnonsense"), "c:-fnonsense: "),
    (4, ("thumb2", "thumb2:core=cortex-m0plus"), "cortex-m0plus cannot execute the thumb2 kernels"),
])
def test_wrong_input_is_one_line(one_line_error, status, arguments, message) -> None:
    assert message in one_line_error(status, *COMPARE, *arguments)


def test_names_of_columns_are_short_where_they_differ() -> None:
    texts = ("c:cc=/a/gcc", "c:cc=/b/gcc", "c:cc=/b/clang,-Os", "thumb2@x:core=cortex-m7")
    sides = [parse(text, "cortex-m4", "zero-wait") for text in texts]
    assert columns(sides) == ("c:cc=/a/gcc", "c:cc=/b/gcc", "c:cc=clang,-Os", "thumb2@x:core=cortex-m7")
    assert sides[3].revision == "x" and sides[3].core == "cortex-m7" and sides[2].opt == "Os" and sides[2].cc == "/b/clang"
