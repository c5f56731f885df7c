"""Every way to get it wrong: one line that names what is wrong, the documented status, nothing half-written."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import numpy as np
import pytest

from emu.build.cache import REPOSITORY
from emu.cli import run_command
from tests.cli.conftest import run_in

KWS = ("emu.run", "kws")
WRONG = "for (int o = 0; o < p->out_c; o++) y[o] = 77;"  # of a dense kernel


@pytest.mark.parametrize(("arguments", "message"), [
    (("--kernels", "thunb2"), "no kernel set 'thunb2' (there are c, float, fused, m0, thumb2, and no folder thunb2 here); did you mean thumb2?"),
    (("--core", "cortex-m44"), "no core 'cortex-m44' (did you mean cortex-m4?)"),
    (("--opt", "O9"), "no optimization 'O9'"),
    (("--input", "yess"), "no word 'yess': did you mean yes?"),
    (("--mhz", "0"), "--mhz"),
    (("--mhz", "nan"), "nan is no clock"),
    (("--json", "-", "--csv", "-"), "only one of them can be printed"),
    (("--plot", "picture.gif"), "--plot picture.gif: the suffix must be .png or .svg"),
    (("--trafic",), "--traffic"),
])
def test_names_that_do_not_exist(one_line_error, arguments, message) -> None:
    assert message in one_line_error(2, *KWS, *arguments)


def test_another_python(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    @click.command()
    def command() -> None:
        raise ModuleNotFoundError(name="unicorn")

    monkeypatch.setattr(sys, "argv", ["emu.run"])
    assert run_command(command) == 3
    assert re.fullmatch(r"error: this Python \(.*\) has no module unicorn: run make setup, and .venv/bin/python\n", capsys.readouterr().err)


def test_nothing_to_run(one_line_error) -> None:
    assert "there is kws" in one_line_error(2, "emu.run", "kwss")


def test_input_files(one_line_error, tmp_path: Path) -> None:
    text = tmp_path / "text.wav"
    text.write_text("not a sound")
    empty = tmp_path / "empty.wav"
    empty.write_bytes(b"")
    wrong_shape, wrong_type, pickled = tmp_path / "shape.npy", tmp_path / "type.npy", tmp_path / "pickled.npy"
    np.save(wrong_shape, np.zeros((20, 21), np.int8))
    np.save(wrong_type, np.zeros((20, 20, 1), np.float32))
    np.save(pickled, np.array([{}]), allow_pickle=True)
    for file, message in ((text, "text.wav"), (empty, "empty.wav"), (wrong_shape, "int8 (20, 21)"), (wrong_type, "float32"),
                          (pickled, "pickled.npy"), (tmp_path / "missing.wav", "missing.wav"), (tmp_path / "missing.npy", "missing.npy")):
        assert message in one_line_error(3, *KWS, "--input", str(file))


def test_output_that_cannot_be_written(one_line_error, tmp_path: Path) -> None:
    for option, name in (("--json", "a.json"), ("--csv", "a.csv"), ("--plot", "a.png")):
        target = tmp_path / "no" / "such" / name
        assert str(target) in one_line_error(3, *KWS, option, str(target))
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_when_one_report_cannot_be(one_line_error, tmp_path: Path) -> None:
    (tmp_path / "kept.json").write_text("kept")
    for bad, message in ((tmp_path, "is a folder"), (tmp_path / "no" / "x.png", "no folder")):
        assert message in one_line_error(3, *KWS, "--json", str(tmp_path / "kept.json"), "--csv" if bad == tmp_path else "--plot", str(bad))
    assert "No space left" in one_line_error(3, *KWS, "--csv", "/dev/full", "--json", str(tmp_path / "kept.json"))
    assert (tmp_path / "kept.json").read_text() == "kept" and len(list(tmp_path.iterdir())) == 1


def test_files_are_written_when_the_reader_of_standard_output_leaves(tmp_path: Path) -> None:
    script = f"{sys.executable} -m emu.run kws --json - --csv {tmp_path}/a.csv | head -1"
    subprocess.run(["bash", "-c", script], cwd=REPOSITORY, capture_output=True, timeout=60, check=True)
    assert (tmp_path / "a.csv").read_text().startswith("name,")


def test_reports_follow_links_and_write_to_devices(tmp_path: Path, run) -> None:
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    assert run(*KWS, "--csv", str(tmp_path / "link.csv"), "--json", "/dev/null").returncode == 0
    assert (tmp_path / "link.csv").is_symlink() and (tmp_path / "real.csv").read_text().startswith("name,")
    assert Path("/dev/null").is_char_device()


def test_no_host_compiler(one_line_error, tmp_path: Path) -> None:
    line = one_line_error(4, *KWS, THUMBCYCLE_CACHE=str(tmp_path / "cache"), CC=str(tmp_path / "cc"))
    assert "the native probe" in line and "cc" in line


def test_a_cache_that_cannot_be_written(one_line_error, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "THUMBCYCLE_CACHE" in one_line_error(4, *KWS, THUMBCYCLE_CACHE=str(tmp_path / "file" / "cache"))


def test_no_compiler(one_line_error, tmp_path: Path) -> None:
    assert "no such compiler" in one_line_error(4, *KWS, "--cc", str(tmp_path / "gcc"))
    host = one_line_error(4, *KWS, "--cc", "cc")
    assert "cc" in host and "Arm" in host


@pytest.mark.parametrize(("writes", "message"), [
    ("exit 0", "says that all went well, but writes no output"),
    ('while [ "$1" != -o ]; do shift; done; echo junk > "$2"', "links no usable image: not an ELF file"),
])
def test_a_compiler_that_lies(one_line_error, tmp_path: Path, writes: str, message: str) -> None:
    compiler = tmp_path / "my cc"
    compiler.write_text(f'#!/bin/sh\ncase "$*" in *version*|*-dump*) exec arm-none-eabi-gcc "$@";; esac\n{writes}\n')
    compiler.chmod(0o755)
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("the cross compiler is not on PATH")
    assert message in one_line_error(4, *KWS, "--cc", str(compiler), THUMBCYCLE_CACHE=str(tmp_path / "cache"))


def test_an_interrupt_ends_the_compiler_too(tmp_path: Path) -> None:
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("the cross compiler is not on PATH")
    compiler = tmp_path / "cc"
    compiler.write_text(f'#!/bin/sh\ncase "$*" in *version*|*-dump*) exec arm-none-eabi-gcc "$@";; esac\ntouch {tmp_path}/begun; exec sleep 100\n')
    compiler.chmod(0o755)
    done = subprocess.Popen([sys.executable, "-m", *KWS, "--cc", str(compiler)], cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "begun").exists() and done.poll() is None:
        time.sleep(0.05)
    done.send_signal(signal.SIGINT)
    assert done.communicate(timeout=60)[1].strip() == "interrupted" and done.returncode == 130


def edit(folder: Path, file: str, old: str, new: str) -> None:
    path = folder / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def dense(folder: Path, body: str, head: str = "") -> str:
    """A folder of kernels with a dense kernel of its own, the rest from the c set; its path."""
    folder.mkdir(exist_ok=True)
    (folder / "dense.c").write_text(
        f'#include "kernels.h"\n{head}\nvoid dense_s8(const pointwise_s8_params *p, const int8_t *x, int8_t *y, void *scratch)\n{{\n'
        f"    (void)p; (void)x; (void)y; (void)scratch;\n    {body}\n}}\n")
    return str(folder)


def broken(folder: Path, body: str) -> None:
    """The dense kernel of the c set, replaced, in a copy of the project."""
    dense(folder / "armsrc/kernels/c", body)
    pointwise = folder / "armsrc/kernels/c/pointwise.c"
    pointwise.write_text(pointwise.read_text().replace("void dense_s8", "void unused_dense_s8"))


@pytest.mark.parametrize(("body", "head", "status", "messages"), [
    ("return 1 +;", "", 4, ["dense.c:6", "error"]),
    ("missing_function();", "void missing_function(void);", 4, ["missing_function"]),
    ("*(volatile int *)0x30000000 = 1;", "", 5, ["write of 4 bytes outside memory, at 0x30000000", "dense_s8", "layer qdense_16x10", "dense.c:6"]),
    ("(void)*(volatile char *)0x10;", "", 5, ["read of 1 byte outside memory, at 0x00000010"]),
    ("*(volatile char *)(uintptr_t)p->weights = 1;", "", 5, ["into flash", "qdense_16x10_weights+0"]),
    ('__asm volatile("ldrd r0, r1, [%0]" :: "r"(x + 1) : "r0", "r1");', "", 5, ["unaligned address", "ldrd", "qglobal_avgpool2d_output+1"]),
    ('__asm volatile("udf #7");', "", 5, ["does not have", "udf"]),
    ("((volatile unsigned *)0)[3] = 1;", "", 5, ["write of 4 bytes outside memory, at 0x0000000c, off a null pointer; 'str"]),
    ('__asm volatile("str r0, [sp, #-8]" ::: "memory");', "", 5, ["write of 4 bytes at 0x2000", ", in the stack below SP, where the next interrupt writes; 'str r0, [sp, #-0x8]'"]),
    ("for (;;) { }", "", 5, ["no end in sight after 1,000,000 instructions", "dense_s8"]),
    ("deeper(p, 1);", ("__attribute__((noinline)) static int deeper(const void *p, int n) { volatile int a[64]; a[n & 63] = n; "
                       "return deeper(p, n + 1) + a[5]; }"), 5, ["stack overflow"]),
    ('*(volatile unsigned *)0xE000ED88 = 0; __asm volatile(".inst.w 0xee300a20");', "", 5, ["FPU off", "CPACR"]),
    ("(void)*(volatile int *)0xE000E010;", "", 5, ["SYST_CSR", "no peripheral"]),
])
def test_a_kernel_that_goes_wrong(tmp_path: Path, one_line_error, body, head, status, messages) -> None:
    line = one_line_error(status, *KWS, "--kernels", dense(tmp_path / "mine", body, head), "--limit", "1000000", "--json", str(tmp_path / "out.json"))
    for message in messages:
        assert message in line
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize(("body", "message"), [
    ("y[p->out_c] = 77;", "wrote outside every object: 1 time; 'strb"),
    ("((int8_t *)x)[3] = 1;", "wrote into qglobal_avgpool2d_output, which is not its output: 1 time; 'strb"),
    ("((int8_t *)scratch)[104] = 1;", "wrote into network_scratch behind the 104 bytes that it has of it: 1 time; 'strb"),
])
def test_a_layer_that_writes_anothers_tensor(tmp_path: Path, one_line_error, body: str, message: str) -> None:
    shutil.copytree(REPOSITORY / "armsrc/kernels/c", tmp_path / "mine")
    edit(tmp_path, "mine/pointwise.c", "void dense_s8(const pointwise_s8_params *restrict p, const int8_t *restrict x, int8_t *restrict y, void *restrict scratch)\n{\n",
         "void dense_s8(const pointwise_s8_params *restrict p, const int8_t *restrict x, int8_t *restrict y, void *restrict scratch)\n{\n    " + body + "\n")
    line = one_line_error(5, *KWS, "--kernels", str(tmp_path / "mine"))
    assert "layer qdense_16x10 (dense_s8)" in line and message in line and "mine/pointwise.c:" in line


def test_one_wrong_byte_is_named(run, tmp_path: Path) -> None:
    done = run(*KWS, "--kernels", dense(tmp_path / "mine", WRONG), "--json", str(tmp_path / "out.json"))
    assert done.returncode == 1
    assert "error: layer qdense_16x10 is not bit-exact: element (0,) is 77, the reference says" in done.stderr
    assert "NO" in done.stdout  # the table is shown all the same
    assert '"bit_exact": false' in (tmp_path / "out.json").read_text()


def test_the_other_sets_may_fail(copy: Path) -> None:
    broken(copy, "return 1 +;")
    done = run_in(copy, *KWS)
    assert done.returncode == 0
    beside = [line for line in done.stdout.splitlines() if line.startswith("beside   c ")]
    assert len(beside) == 1
    assert re.fullmatch(r"beside   c       not measured: armsrc/kernels/c/dense\.c:6:15: error: .+", beside[0])


@pytest.mark.parametrize(("command", "status", "said"), [
    ("emu.run kws --json - | head -1", 0, ""), ("emu.run kws | head -1", 0, ""), ("emu.run kws >/dev/full", 3, "No space left"),
])
def test_standard_output_that_ends(command: str, status: int, said: str) -> None:
    script = f"set -o pipefail; exec 2>&1; {sys.executable} -m {command}"
    done = subprocess.run(["bash", "-c", script], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status and said in done.stdout and "Traceback" not in done.stdout
