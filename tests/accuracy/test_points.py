"""Published points: the files are as they should be, every recording is there, and the errors have not grown."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from emu.accuracy import points, reprice
from emu.build.cache import REPOSITORY
from emu.errors import InputError, UsageError
from emu.report import accuracy
from emu.timing import core as cores
from emu.timing import memory as memories

BARS = tomllib.loads(Path(__file__).with_name("bars.toml").read_text())
MOST = 30  # points of a set that are priced here; `python -m emu.accuracy` prices all
MOST_OF = {"m4_pqm4": 15}  # its programs run long
GOOD = {"title": "t", "core": "cortex-m4", "board": "b", "memory": "zero-wait", "source": "s", "built": "by hand",
        "point": [{"program": "p", "published": 100, "recording": "x.npz"}]}


@pytest.mark.parametrize("name", points.names())
def test_sets_are_whole(name: str) -> None:
    group = points.load(name)
    assert group.core in cores.names()
    programs = [point.program for point in group.points]
    assert len(programs) == len(set(programs))
    for point in group.points:
        assert point.recording.is_file(), point.program
        assert point.memory in memories.names(), point.program


def test_every_recording_is_used() -> None:
    used = {point.recording for name in points.names() for point in points.load(name).points}
    assert {path for path in points.RECORDINGS.rglob("*") if path.is_file()} == used


@pytest.mark.parametrize("name", points.names())
def test_errors_have_not_grown_and_the_document_says_them(name: str) -> None:
    group = points.load(name)
    most = MOST_OF.get(name, MOST)
    rows = reprice.reprice([replace(group, points=group.points[::-(-len(group.points) // most)])])
    found, bar = reprice.summary(rows), BARS[name]
    assert found.mean <= bar["mean"] / 100, f"mean |error| {found.mean:.2%}"
    assert abs(found.worst) <= bar["worst"] / 100, f"worst {found.worst:+.2%}"
    document = (REPOSITORY / "docs" / "accuracy.md").read_text()
    assert not [line for line in accuracy.markdown_rows(rows) if line not in document], f"out of date: {accuracy.COMMAND}"


def test_every_set_has_a_bar() -> None:
    assert set(BARS) == set(points.names())


@pytest.mark.parametrize(("change", "message"), [
    ({"title": 3}, "title"), ({"colour": "red"}, "unknown key colour"), ({"core": None}, "no core"), ({"point": [3]}, "point 1"),
    ({"point": [{"program": "p", "published": 100}]}, "no recording"), ({"point": [{"program": "p", "published": 0, "recording": "x"}]}, "more than 0"),
    ({"point": [{"program": "p", "published": True, "recording": "x"}]}, "published"),
])
def test_wrong_sets(change: dict, message: str) -> None:
    table = {key: value for key, value in (GOOD | change).items() if value is not None}
    with pytest.raises(ValueError, match=message):
        points._set("wrong", table)


def test_unknown_set_and_missing_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="did you mean m33"):
        points.load("m34")
    monkeypatch.setattr(points, "RECORDINGS", tmp_path)
    with pytest.raises(InputError, match=r"x\.npz: No such file"):
        reprice.reprice([points._set("absent", GOOD)])


def test_summary_leaves_out_what_stands_apart(kws_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from emu.timing import recording

    counts, instructions = kws_run
    (tmp_path / "x.npz").write_bytes(recording.save(recording.record(counts, instructions)))
    monkeypatch.setattr(points, "RECORDINGS", tmp_path)
    row = {"program": "p", "published": 100, "recording": "x.npz"}
    [exact] = reprice.reprice([points._set("one", GOOD)])
    cycles = exact.modelled
    table = GOOD | {"point": [row | {"published": cycles}, row | {"program": "q", "published": 2 * cycles}, row | {"program": "r", "published": 3 * cycles, "apart": "why"}]}
    rows = reprice.reprice([points._set("three", table)])
    found = reprice.summary(rows)
    assert (found.points, found.mean, found.worst, found.bias) == (2, 0.25, -0.5, -0.25)
    assert reprice.summary(rows[2:]) is None
    document = json.loads(accuracy.render_json(rows))
    assert [point["apart"] for point in document["points"]] == [None, None, "why"]
    assert "apart: why" in accuracy.render_markdown(rows)
