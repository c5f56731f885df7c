"""The profile as JSON, for scripts. SCHEMA changes when a key changes its meaning or goes; new keys do not change it."""

from __future__ import annotations

import json
import math

from emu.profile import Row
from emu.result import Heard, OnCore, Result

SCHEMA = 1


def document(result: Result) -> dict[str, object]:
    """For JSON: schema, core, memory, about (kernels, toolchain, image, ...), layers, outside, totals, cores, answer, beside; all but inputs of
    the first input."""
    profile = result.profile
    found = {
        "schema": SCHEMA,
        "core": profile.core,
        "memory": profile.memory,
        "cycles": profile.totals.cycles,
        **profile.about,
        "layers": [row_of(row, result) for row in profile.layers],
        "outside": row_of(profile.outside, result),
        "totals": row_of(profile.totals, result),
        "answer": {"labels": list(result.answer.labels), "logits": list(result.answer.logits),
                   "probabilities": list(result.answer.probabilities), "winner": result.answer.winner,
                   "confidence": result.answer.confidence, "trained": result.answer.trained},
        "inputs": [_input(heard, result) for heard in result.inputs],
        "cores": {column.core: _on_core(column) for column in result.cores},
        "beside": {other.kernels: row_of(other.totals, result) if other.totals else {"problem": other.problem} for other in result.beside},
    }
    if result.mhz:
        found["mhz"] = result.mhz
    return found


def _input(heard: Heard, result: Result) -> dict[str, object]:
    totals = heard.profile.totals
    return {"name": heard.name, "winner": heard.answer.winner, "confidence": heard.answer.confidence, "bit_exact": totals.bit_exact,
            "totals": row_of(totals, result)}


def _on_core(column: OnCore) -> dict[str, object]:
    """One core's figures, of the first core's run or of the image that `image` names."""
    profile = column.profile
    if profile is None:
        return {"problem": column.problem, "reason": column.reason}
    totals = profile.totals
    return {"kernels": profile.about["kernels"], "flags": profile.about["flags"], "image": profile.about["image"],
            "same_run": not column.reason, "reason": column.reason, "layers": [{"name": row.name, "cycles": row.cycles} for row in profile.layers],
            "outside": profile.outside.cycles, "cycles": totals.cycles, "instructions": totals.instructions, "bit_exact": totals.bit_exact}


def row_of(row: Row, result: Result) -> dict[str, object]:
    """One row's facts, the same keys for layers, outside and totals."""
    facts: dict[str, object] = {key: getattr(row, key) for key in (
        "name", "kernel", "instructions", "skipped", "cycles", "macs", "cycles_per_mac", "loads", "stores", "bytes_read", "bytes_written",
        "fetch_bytes", "weight_bytes", "activation_bytes", "stack_bytes", "bit_exact", "wrong_bytes", "max_difference",
        "max_abs_error")}
    facts["traffic"] = {part: {"reads": t.reads, "writes": t.writes, "bytes": t.bytes, "bytes_read": t.bytes_read,
                               "bytes_written": t.bytes_written} for part, t in row.traffic.items()}
    if result.mhz:
        facts["milliseconds"] = result.milliseconds(row.cycles)
    return facts


def dumps(document: dict[str, object]) -> str:
    """JSON text of a document of plain values."""
    return json.dumps(_finite(document), indent=2, allow_nan=False) + "\n"


def _finite(value: object) -> object:
    """JSON has no NaN and no infinity: null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
