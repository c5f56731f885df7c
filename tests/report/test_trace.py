"""--trace: events of the Trace Event Format, nested, and as wide as what they cost."""

from __future__ import annotations

import json
import math

import pytest

from tests.report.conftest import Exported, export


@pytest.fixture
def document(exported: Exported) -> dict:
    return json.loads(exported.text("trace"))


def slices(document: dict) -> list[tuple[dict, float, list[str]]]:
    """(its begin, microseconds, names of what it is in) of every slice. Each ends before what it is in, and after what is in it."""
    found, stack, at = [], [], 0.0
    for event in document["traceEvents"]:
        if event["ph"] not in "BE":
            continue
        assert event["ts"] >= at and event["pid"] == event["tid"] == 1
        at = event["ts"]
        if event["ph"] == "B":
            stack.append(event)
            continue
        begun = stack.pop()
        assert begun["name"] == event["name"]
        found.append((begun, at - begun["ts"], [outer["name"] for outer in stack]))
    assert not stack
    return found


def test_slices_nest_and_are_as_wide_as_their_cycles(document, exported) -> None:
    clock = exported.json.get("mhz", 1)
    outermost = []
    for begun, width, outer in slices(document):
        args = begun["args"]
        total = args.get("with callees", args)
        assert math.isclose(width, total["cycles"] / clock, abs_tol=1e-6)
        if not outer:
            outermost.append((begun["name"], total))
    for figure, whole in exported.totals.items():
        assert sum(total[figure] for _, total in outermost) == whole == document["otherData"]["totals"][figure]
    if "layers" in exported.json:
        rows = [exported.json["outside"], *exported.json["layers"]]
        assert outermost == [(row["name"], {figure: row[figure] for figure in outermost[0][1]}) for row in rows]
        kernels = {outer[-1]: begun["name"] for begun, _, outer in reversed(slices(document)) if len(outer) == 1 and outer[-1] != "outside"}
        assert kernels == {row["name"]: row["kernel"] for row in exported.json["layers"]}


def test_functions_own_figures_add_up(document, exported) -> None:
    own = {row["name"]: 0 for row in exported.functions}
    for begun, _, _ in slices(document):
        if begun["cat"] == "function":
            own[begun["name"]] += begun["args"]["cycles"]
    assert own == {row["name"]: row["self"]["cycles"] for row in exported.functions}


def test_counters_are_the_runs_traffic(document, exported) -> None:
    for figure in ("bytes_read", "bytes_written"):
        values = [event for event in document["traceEvents"] if event["ph"] == "C" and event["name"] == figure.replace("_", " ")]
        assert sum(event["args"]["bytes"] for event in values) == exported.totals[figure] and values[-1]["args"]["bytes"] == 0
        starts = {begun["ts"] for begun, _, outer in slices(document) if not outer}
        assert {event["ts"] for event in values[:-1]} == starts


def test_it_says_what_time_is(document, exported) -> None:
    said = document["otherData"]
    assert "do not stand in time" in said["order"] and exported.json["core"] in said["cycles"] and exported.json["memory"] in said["cycles"]
    assert said["time"] == ("cycles at 80 MHz" if "mhz" in exported.json else "1 cycle is shown as 1 us (no --mhz)")
    names = {event["name"]: event["args"]["name"] for event in document["traceEvents"] if event["ph"] == "M"}
    assert set(names) == {"process_name", "thread_name"}


def test_a_region_from_place_to_place(tmp_path) -> None:
    """It is a run of its own, without layers; what it costs is what the kernels cost that it holds."""
    found = export(tmp_path, "kws", "--from", "max_pool2d_s8", "--to", "depthwise_conv2d_s8", forms=("json", "trace"))
    document = json.loads(found.text("trace"))
    assert document["otherData"]["totals"] == found.json["functions"]["totals"] and "from max_pool2d_s8" in document["otherData"]["run"]
    assert sum(begun["args"]["cycles"] for begun, _, _ in slices(document)) == found.json["functions"]["totals"]["cycles"]
