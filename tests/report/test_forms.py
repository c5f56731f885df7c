"""Tables of forms: what they name exists, and what is asked for wrongly is refused before anything runs or is written."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from emu.errors import InputError, TargetFault, UsageError
from emu.evaluate import __main__ as evaluate
from emu.experiment.__main__ import COMMANDS
from emu.report import callgrind, forms, speedscope, trace
from emu.report.forms import Form
from emu.run import forms as run_forms
from emu.run.__main__ import main
from tests.firmware.conftest import ran
from tests.report.conftest import CALLS, export
from tests.report.test_callgrind import read

TABLES = {"run": run_forms.FORMS, "evaluate": evaluate.FORMS, **{
    name: module.FORMS for name in COMMANDS if hasattr(module := importlib.import_module(f"emu.experiment.commands.{name}"), "FORMS")}}


@pytest.mark.parametrize("name", TABLES)
def test_every_renderer_is_there(name) -> None:
    """And every form says of what it is, and what it needs, in words that the command line knows."""
    for form in TABLES[name]:
        module, _, function = form.render.partition(":")
        assert callable(getattr(importlib.import_module(module), function)), form
        assert name != "run" or set(form.of) <= {run_forms.KWS, run_forms.STREAM, run_forms.FIRMWARE}
        assert form.needs in ("", run_forms.CALLS, run_forms.TOUCHES)
    assert len({form.name for form in TABLES[name]}) == len(TABLES[name])


@pytest.mark.parametrize(("arguments", "error", "message"), [
    (("kws", "--stream", "--callgrind", "x"), UsageError, "--callgrind is no option of kws --stream"),
    (("kws", "--record", "x"), UsageError, "--record is no option of kws"),
    (("x.elf", "--plot", "x.png"), UsageError, "--plot is no option of a firmware"),
    (("kws", "--plot", "x.pdf"), UsageError, "--plot x.pdf: the suffix must be .png or .svg"),
    (("kws", "--trace", "-", "--speedscope", "-"), UsageError, "--speedscope -, --trace -: only one of them can be printed"),
    (("kws", "--json", "{folder}/x", "--trace", "{folder}/x"), UsageError, "two reports cannot both be written to {folder}/x"),
    (("kws", "--parquet", "{folder}/no/x"), InputError, "cannot write {folder}/no/x: there is no folder {folder}/no"),
    (("kws", "--callgrind", "{folder}/x", "--trace", "{folder}"), InputError, "cannot write {folder}: is a folder"),
    (("kws", "--callgrind", ""), UsageError, "an output file needs a name, or - for standard output"),
])
def test_what_is_refused(tmp_path, arguments, error, message) -> None:
    with pytest.raises(error) as refused:
        main([argument.format(folder=tmp_path) for argument in arguments], standalone_mode=False)
    assert str(refused.value) == message.format(folder=tmp_path) and not list(tmp_path.iterdir())


def test_nothing_is_written_when_one_form_cannot_be_drawn(tmp_path, monkeypatch) -> None:
    def broken(run: object, target: str) -> str:
        raise InputError("no ink")

    monkeypatch.setattr(trace, "render", broken)
    with pytest.raises(InputError, match="no ink"):
        export(tmp_path, "kws", forms=("json", "callgrind", "trace"))
    assert not list(tmp_path.iterdir())


def test_one_form_can_be_printed(builder, tmp_path, capfd) -> None:
    """A firmware's own output makes room for it."""
    printing = CALLS.replace("leave(3)", 'print("hello\\n"); leave(3)')
    written = ("--callgrind", str(tmp_path / "x"), "--speedscope", "-")
    assert main([str(builder.elf(printing)), *written], standalone_mode=False) == 3
    printed, errors = capfd.readouterr()
    assert json.loads(printed)["exporter"] == "thumbcycle" and errors == "hello\n"
    assert (tmp_path / "x").read_text().startswith("# callgrind format\n")


def test_a_region_that_was_never_entered_is_empty(tmp_path) -> None:
    found = export(tmp_path, "kws", "--region", "default_handler", forms=("callgrind", "speedscope", "trace"))
    assert found.text("callgrind").endswith("totals: 0 0 0 0\n")
    assert [profile["events"] for profile in json.loads(found.text("speedscope"))["profiles"]] == [[], []]
    assert not [event for event in json.loads(found.text("trace"))["traceEvents"] if event["ph"] != "M"]


def test_names_stay_in_their_line(builder, tmp_path) -> None:
    """A symbol's name is whatever the ELF says, a file's whatever it is called."""
    odd = tmp_path / "o\ndd.elf"
    odd.write_bytes(builder.elf(CALLS).read_bytes().replace(b"factorial\0", b"fac\nor|al\0"))
    found = export(tmp_path, str(odd), "--functions", "--report", "/dev/null", forms=("callgrind", "markdown"))
    assert r"fac\nor|al" in found.text("callgrind") and r"| fac\\nor&#124;al |" in found.text("markdown")
    read(found.path("callgrind"))


def test_a_run_that_faults_is_exported(builder, tmp_path) -> None:
    faulting = '#include "firmware.h"\nint main(void) { return REG(0x30000000); }'
    with pytest.raises(TargetFault, match="0x30000000"):
        export(tmp_path, str(builder.elf(faulting)), "--report", "/dev/null", forms=("json", "callgrind", "trace"))
    document, found = (json.loads((tmp_path / f"run.{form}").read_text()) for form in ("json", "trace"))
    assert found["otherData"]["totals"]["cycles"] == document["totals"]["cycles"] > 0


@dataclass(frozen=True)
class _Shown:
    """What forms are asked of."""

    title: str = "t"


def test_forms_of_a_table_of_ones_own(tmp_path) -> None:
    rows = (Form("one", "first", "tests.report.test_forms:first"), Form("two", "second", "tests.report.test_forms:second", needs="more"))
    target = str(tmp_path / "x")
    values: dict[str, object] = {"one_file": None, "two_file": target, "other": 1}
    wanted = forms.taken_from(values, rows)
    assert values == {"other": 1} and forms.needs(wanted) == {"more"} and not forms.prints(wanted)
    assert forms.asks_for(wanted, "two") and not forms.asks_for(wanted, "one")
    assert forms.drawn(_Shown(), wanted) == [(target, f"t {target}")]


def second(shown: _Shown, target: str) -> str:
    return f"{shown.title} {target}"


def test_call_paths_that_were_not_kept_are_said(builder) -> None:
    from emu.experiment import target
    from emu.firmware import Job
    from emu.report.firmware import FirmwareRun

    elf = builder.elf(CALLS)
    done = ran(elf)
    whole = FirmwareRun(done.result, ran=target.of_firmware(Job(Path(elf))))
    folded = replace(whole)
    folded.__dict__["tree"] = replace(whole.tree, complete=False)
    for form in (callgrind, speedscope, trace):
        assert "lower bounds" in form.render(folded) and "lower bounds" not in form.render(whole)
