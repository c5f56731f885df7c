"""`python -m emu.run FILE.elf` as a user types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from emu.build.cache import REPOSITORY, cache_dir
from emu.probe import build
from emu.timing import core as cores
from emu.timing import memory as memories
from emu.timing import pricing, recording
from tests.cli.conftest import Done, called_in, run_in
from tests.cli.test_errors import dense
from tests.firmware.conftest import BARE, HOSTED

HELLO = '#include <stdio.h>\nint main(int c, char **v) { printf("hello %d %s\\n", c, v[c - 1]); fprintf(stderr, "oops\\n"); return 7; }'
BARE_MAIN = '#include "firmware.h"\nint main(void) {{\n{body}\n}}'


def command(*arguments: object) -> Done:
    return called_in(REPOSITORY, "emu.run", *map(str, arguments))


def process(*arguments: object, **options: object) -> subprocess.Popen[str]:
    variables = {**os.environ, "THUMBCYCLE_CACHE": str(cache_dir())}
    return subprocess.Popen([sys.executable, "-m", "emu.run", *map(str, arguments)], cwd=REPOSITORY, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, **options)


@pytest.fixture(scope="session")
def hello(builder) -> Path:
    return builder.elf(HELLO, base=HOSTED)


@pytest.fixture
def bare(builder):
    return lambda body: builder.elf(BARE_MAIN.format(body=body), base=BARE)


def test_the_program_s_output_and_its_exit_code(hello):
    done = run_in(REPOSITORY, "emu.run", str(hello), "--", "first", "--last")
    assert done.returncode == 7
    assert done.stdout == "hello 3 --last\n"
    lines = done.stderr.splitlines()
    assert lines[0] == "oops"
    assert lines[1].startswith("note: no vector table: started at the entry")
    assert f"{hello} on a modelled cortex-m4 with zero-wait memory, board generic" in lines[2]
    assert lines[-1] == "end      the program exited with 7"


def test_json_alone_on_standard_output(hello, tmp_path):
    done = command(hello, "--json", "-", "--csv", tmp_path / "t.csv", "--report", tmp_path / "t.txt", "--mhz", "50", "--core", "cortex-m4", "--core", "cortex-m33")
    assert done.returncode == 7
    assert done.stderr.startswith("hello 1 ")
    report = json.loads(done.stdout)
    totals = report["totals"]
    assert report["schema"] == 1
    assert (report["core"], report["memory"], report["board"], report["clock"]) == ("cortex-m4", "zero-wait", "generic", 50_000_000)
    assert report["cycles"] == totals["cycles"] == report["cores"]["cortex-m4"]["cycles"] > totals["instructions"] > 1000
    assert report["cores"]["cortex-m33"]["cycles"] > 1000
    assert totals["milliseconds"] == pytest.approx(totals["cycles"] / 50_000)
    assert report["ending"] == {"how": "exit", "text": "the program exited with 7", "exit_code": 7, "status": 7}
    assert len(report["notes"]) == 1 and report["reads_time"] == []
    header, row = (tmp_path / "t.csv").read_text().splitlines()
    figures = dict(zip(header.split(","), row.split(","), strict=True))
    assert figures["name"] == "total" and int(figures["cycles"]) == totals["cycles"] and figures["stack_bytes"] == str(totals["stack_bytes"])
    assert f"{totals['cycles']:,}" in (tmp_path / "t.txt").read_text()


def test_a_core_that_cannot_run_it(hello):
    done = command(hello, "--json", "-", "--core", "cortex-m4", "--core", "cortex-m0plus")
    entry = json.loads(done.stdout)["cores"]["cortex-m0plus"]
    assert entry["cycles"] is None and entry["problem"].startswith("it does not have '")


def test_a_recording_is_priced_as_the_run_was(hello, tmp_path):
    command(hello, "--record", str(tmp_path / "run.npz"), "--json", str(tmp_path / "run.json"), "--core", "cortex-m4", "--core", "cortex-m33")
    cores_of_run = json.loads((tmp_path / "run.json").read_text())["cores"]
    run = recording.load(tmp_path / "run.npz")
    for name in ("cortex-m4", "cortex-m33"):
        assert pricing.price(run.counts, run.instructions, cores.load(name), memories.load("zero-wait")).sum() == cores_of_run[name]["cycles"]


def test_functions(hello):
    done = command(hello, "--functions")
    assert "_vfprintf_r" in done.stderr and "functions on a modelled cortex-m4" in done.stderr


def test_faults_and_idling_are_one_error_line_behind_the_report(bare):
    for body, line in (("REG(0x70000000) = 1;", "error: write of 4 bytes outside memory, at 0x70000000; "),
                       ("for (;;) ;", "error: no end in sight: an endless loop, and no interrupt can come; ")):
        done = command(bare(body))
        assert done.returncode == 5
        assert done.stdout == ""
        assert done.stderr.splitlines()[-1].startswith(line)
        assert "Traceback" not in done.stderr
    assert command(bare("for (;;) ;"), "--idle-ok").returncode == 0


def test_the_limit(bare):
    done = command(bare("for (volatile int n = 0;; n++) ;"), "--limit", "1000")
    assert done.returncode == 5
    assert "error: no end in sight after 1,000 instructions; " in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        (("/nowhere/x.elf",), 3, "/nowhere/x.elf: No such file or directory"),
        (("README.md",), 3, "README.md: not an ELF file"),
        (("nothing",), 2, "nothing to run is called 'nothing'; there is kws, FILE.elf"),
        (("ELF", "--board", "nix"), 2, "no board 'nix': there are generic, "),
        (("ELF", "--core", "nix"), 2, "no core 'nix'"),
        (("ELF", "--memory", "nix"), 2, "no memory 'nix'"),
        (("ELF", "--kernels", "c"), 2, "--kernels is no option of a firmware"),
        (("kws", "--board", "generic"), 2, "--board is no option of kws"),
        (("kws", "--", "x"), 2, "kws takes no arguments: x"),
        (("ELF", "--files", "/nowhere"), 3, "--files /nowhere: no such folder"),
        (("ELF", "--uart", "x"), 2, "--uart 'x': ADDRESS[:STATUS[=READY]] is wanted"),
        (("ELF", "--vectors", "x"), 2, "--vectors 'x': an address is wanted"),
        (("ELF", "--json", "/nowhere/x"), 3, "cannot write /nowhere/x"),
        (("ELF", "--json", "-", "--csv", "-"), 2, "--json -, --csv -: only one of them can be printed"),
    ],
)
def test_what_is_refused(hello, arguments, status, line):
    done = command(*(hello if argument == "ELF" else argument for argument in arguments))
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    errors = done.stderr.strip().splitlines()
    assert len(errors) == 1 and errors[0].startswith(f"error: {line}"), done.stderr


def test_files_and_standard_input(builder, tmp_path):
    text = """#include <stdio.h>
    int main(void) { int c, n = 0; FILE *f = fopen("copy", "w"); while ((c = getchar()) != EOF) n++, fputc(c, f); fclose(f); return n; }"""
    with process(builder.elf(text, base=HOSTED), "--files", tmp_path, stdin=subprocess.PIPE) as counting:
        counting.communicate("some text", timeout=60)
    assert counting.returncode == 9
    assert (tmp_path / "copy").read_text() == "some text"


def test_output_that_nobody_reads(hello):
    with process(hello) as unread:
        unread.stdout.close()
        error = unread.stderr.read()
    assert "Traceback" not in error


@pytest.mark.parametrize("target", ["firmware", "kws"])
def test_ctrl_c_in_the_middle_of_native_code(bare, tmp_path, target):
    what = [bare("for (volatile int n = 0;; n++) ;")] if target == "firmware" else ["kws", "--kernels", dense(tmp_path / "mine", "for (;;) { }")]
    with process(*what, "--limit", "1000000000000") as endless:
        try:
            wait_for_native_code(endless)
            endless.send_signal(signal.SIGINT)
            _, error = endless.communicate(timeout=60)
        finally:
            endless.kill()
    assert (endless.returncode, error.strip()) == (130, "interrupted")


def wait_for_native_code(process: subprocess.Popen[str]) -> None:
    """Until the probe's library is loaded, and half a second of processor time later, when there is nothing else left to do."""
    library, loaded = str(build.library()), None
    running = psutil.Process(process.pid)
    while loaded is None or running.cpu_times().user < loaded + 0.5:
        assert process.poll() is None
        if loaded is None and any(mapped.path == library for mapped in running.memory_maps()):
            loaded = running.cpu_times().user
        time.sleep(0.02)


def test_help_says_it():
    done = command("--help")
    assert done.returncode == 0
    for text in ("FILE.elf", "--board", "--uart", "--peripherals", "--idle-ok", "exit code"):
        assert text in done.stdout
