"""A firmware's run as a page."""

from __future__ import annotations

from pathlib import PurePath

from emu.firmware import FirmwareResult
from emu.report.firmware import FirmwareRun, milliseconds
from emu.report.html import looked, shared
from emu.report.html.looked import Looked
from emu.report.html.page import Section, count, page, share


def render(run: FirmwareRun, command: str) -> str:
    """HTML text."""
    result, found = run.result, looked.look(run.ran, run.functions)
    name = PurePath(str(result.about["image"]["path"])).name
    return page(f"{name}, {result.core}", [
        _summary(name, result, found, run.mhz), shared.dearest(found.listing), shared.functions(found.functions, found.listing),
        shared.memory(found, result.totals.stack_bytes), shared.listing(found.listing, found.sources), shared.made(_made(result), command)])


def _summary(name: str, result: FirmwareResult, found: Looked, mhz: float | None) -> Section:
    functions, cycles = found.listing.functions, result.totals.cycles
    dearest = [f"{share(function.cycles, cycles)} of the cycles are {function.name}'s." for function in functions[:1]]
    values = {
        "heading": name, "on": f"A firmware on a modelled {result.core} with {result.memory} memory, board {result.about['board']}",
        "verdict": (None if result.ending.fault is None else False, result.ending.text), "sentences": [*dearest, *shared.stalls(found.whole, cycles)], "facts": _facts(result, mhz),
        "notes": _notes(result), "others": result.others, "totals": result.totals, "core": result.core}
    return Section("summary", "Summary", "firmware_summary", values)


def _facts(result: FirmwareResult, mhz: float | None) -> list[tuple[str, str, str]]:
    totals, image = result.totals, result.about["image"]
    asleep = f"{totals.sleep_cycles:,} asleep" if totals.sleep_cycles else ""
    return [
        ("Cycles", count(totals.cycles), asleep),
        *([("Time", f"{milliseconds(totals.cycles, mhz):,.3f} ms", f"at {mhz:g} MHz")] if mhz else []),
        ("Instructions", count(totals.instructions), f"{totals.skipped:,} of them skipped"),
        ("Data moved", f"{totals.bytes_read + totals.bytes_written:,} B", f"{totals.bytes_read:,} read, {totals.bytes_written:,} written"),
        ("Stack", f"{totals.stack_bytes:,} B", "the most in use at once"),
        ("Exceptions", count(totals.exceptions), "taken"),
        ("Flash", f"{image['flash_bytes']:,} B", "what the file loads"),
        ("RAM", f"{image['ram_bytes']:,} B", "variables"),
    ]


def _notes(result: FirmwareResult) -> list[str]:
    time = f"The program read {' and '.join(result.reads_time)}: what it did may depend on {result.core}'s cycles."
    return [*result.notes, *([time] if result.reads_time else [])]


def _made(result: FirmwareResult) -> list[tuple[str, str]]:
    image = result.about["image"]
    return [("Image", str(image["path"])), ("SHA-256", image["sha256"]), ("Modelled core", result.core), ("Memory", result.memory),
            ("Board", str(result.about["board"])), ("How it ended", result.ending.text)]
