"""--speedscope: against speedscope's own schema, and frame by frame against the profile by function."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import jsonschema
import pytest

from emu.build.cache import REPOSITORY
from tests.report.conftest import Exported

SCHEMA = json.loads((Path(__file__).parent / "speedscope" / "file-format-schema.json").read_text())


@pytest.fixture
def document(exported: Exported) -> dict:
    return json.loads(exported.text("speedscope"))


def test_the_schema(document) -> None:
    jsonschema.Draft7Validator(SCHEMA).validate(document)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(SCHEMA).validate(document | {"profiles": [{"type": "evented"}]})


@pytest.mark.parametrize(("place", "figure"), ((0, "cycles"), (1, "instructions")))
def test_frames_are_as_wide_as_functions_are_dear(document, exported, place, figure) -> None:
    profile, frames = document["profiles"][place], document["shared"]["frames"]
    own: Counter[str] = Counter()
    inclusive: Counter[str] = Counter()
    outermost: dict[str, int] = {}
    stack: list[tuple[int, int]] = []
    at = profile["startValue"]
    for event in profile["events"]:
        assert event["at"] >= at
        if stack:
            own[frames[stack[-1][0]]["name"]] += event["at"] - at
        at, name = event["at"], frames[event["frame"]]["name"]
        if event["type"] == "O":
            stack.append((event["frame"], at))
            continue
        frame, since = stack.pop()
        assert frame == event["frame"]  # closed in the order in which they were opened
        if name not in [frames[other]["name"] for other, _ in stack]:
            inclusive[name] += at - since
        if not stack:
            outermost[name] = at - since
    assert not stack and at == profile["endValue"] == exported.totals[figure] == sum(outermost.values())
    layers = {layer["name"]: layer[figure] for layer in [exported.json.get("outside"), *exported.json.get("layers", [])] if layer}
    assert not layers or outermost == layers
    rows = {row["name"]: row for row in exported.functions}
    assert +own == +Counter({name: row["self"][figure] for name, row in rows.items()})
    if not layers:  # else frames begin at the layer
        assert {name: inclusive[name] for name in rows} == {name: row["inclusive"][figure] for name, row in rows.items()}


def test_the_cores_name_and_the_source(document, exported) -> None:
    assert exported.json["core"] in document["profiles"][0]["name"] and exported.json["memory"] in document["profiles"][0]["name"]
    (main,) = [frame for frame in document["shared"]["frames"] if frame["name"] == "main"]
    lines = (REPOSITORY / main["file"]).read_text().splitlines()
    assert "main(" in "".join(lines[main["line"] - 2:main["line"]])  # the brace's line, or the name's
