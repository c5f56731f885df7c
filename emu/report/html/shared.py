"""Sections that several reports have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emu.experiment.listing import FunctionListing, Listing
from emu.experiment.roofline import Roofline
from emu.functions import FunctionProfile
from emu.report.html import lines
from emu.report.html.looked import Looked, Why
from emu.report.html.page import Section, change, count, share
from emu.report.html.reasons import MINIMUM, Palette
from emu.report.memory_map import Memory, Tile, memory_map
from emu.report.sources import Sources
from emu.report.table import whose
from emu.timing.explain import sentence

MOST_OBJECTS = 300  # rows of the memory map's table
MOST_FUNCTIONS = 300
MOST_BARS = 20
MOST_FILES = 5  # that are named where their source cannot be shown
_THINNEST = 0.002  # of a memory: what is thinner is drawn with its neighbours of one kind
_SIDES = ("minimum", "why-0", "why-4", "why-2", "why-3", "why-1")  # colours of sides and cores
_KINDS = {"data": "scratch", "zeroed": "fetch", "constants": "other", "initial values": "literals"}  # whose colours are not called as they are
_KIND_NAMES = {"stack": "stack, used", "reserve": "stack, not used"}


def side_color(number: int) -> str:
    return _SIDES[number % len(_SIDES)]


def sides(names: Sequence[str]) -> list[tuple[str, str]]:
    """A legend."""
    return [(name, side_color(number)) for number, name in enumerate(names)]


def groups(rows: Sequence[str], columns: Sequence[tuple[str, Sequence[int]]], unit: str) -> dict[str, object]:
    """A chart of bars beside each other, a column a bar; differences are against the first."""
    parts = []
    for number, (name, values) in enumerate(columns):
        changes = [change(value, of) for value, of in zip(values, columns[0][1], strict=True)]
        parts.append({"name": name, "color": side_color(number), "values": list(values), "changes": changes,
                      "labels": [f"{value:,}  {changed}" for value, changed in zip(values, changes, strict=True)]})
    return {"kind": "grouped", "unit": unit, "rows": list(rows), "parts": parts}


def reasons(rows: Sequence[str], why: Sequence[Why], palette: Palette) -> dict[str, object]:
    """A chart of cycles, a row each: the minimum, then the stalls."""
    parts = [{"name": MINIMUM, "color": MINIMUM, "values": [one.minimum for one in why]}]
    parts += [{"name": reason, "color": palette.color(reason), "values": [one.reasons.get(reason, 0) for one in why]} for reason in palette.dearest]
    return {"kind": "stacked", "unit": "cycles", "rows": list(rows), "parts": parts}


def stalls(why: Why, cycles: int) -> list[str]:
    """A sentence, where there are any."""
    total = sum(why.reasons.values())
    if not total:
        return []
    dearest = max(why.reasons, key=why.reasons.__getitem__)
    most = f"the most, {count(why.reasons[dearest])}, for {dearest}"
    return [f"{count(total)} cycles ({share(total, cycles)}) are stalls, above what the instructions take when nothing interferes; {most}."]


def dearest(found: Listing) -> Section:
    """Bars of the functions that cost most."""
    palette, shown = Palette(found.reasons), found.functions[:MOST_BARS]
    chart = reasons([function.name for function in shown], [Why(function.minimum, function.reasons) for function in shown], palette)
    values = {"core": found.core, "memory": found.memory, "legend": palette.legend(), "shown": len(shown), "all": len(found.functions)}
    return Section("cycles", "Cycles", "cycles", values, {"function-cycles": chart})


# --- memory ---


def memory(found: Looked, stack_used: int) -> Section:
    """Flash and RAM as the image fills them."""
    memories = memory_map(found.image, stack=found.stack, stack_used=stack_used, parts=found.parts)
    charts = {f"memory-{number}": _strip(one) for number, one in enumerate(memories)}
    objects = sorted((tile for one in memories for tile in one.tiles if tile.name), key=lambda tile: -tile.size)
    values = {"memories": [(f"memory-{number}", one, _legend(one)) for number, one in enumerate(memories)],
              "objects": objects[:MOST_OBJECTS], "hidden": len(objects) - MOST_OBJECTS, "stack_used": stack_used, "kinds": _KIND_NAMES}
    return Section("memory", "Memory", "memory", values, charts)


def _legend(one: Memory) -> list[tuple[str, str]]:
    return [(_KIND_NAMES.get(kind, kind), _color(kind)) for kind in dict.fromkeys(tile.kind for tile in one.tiles)]


def _color(kind: str) -> str:
    return _KINDS.get(kind, kind)


def _strip(one: Memory) -> dict[str, object]:
    tiles, at = [], 0
    for tile in _merged(one.tiles, one.size * _THINNEST):
        title = f"{tile.name or tile.section}\n{_KIND_NAMES.get(tile.kind, tile.kind)}, {tile.size:,} bytes at 0x{tile.start:08x}"
        tiles.append({"x1": at, "x2": at + tile.size, "kind": tile.kind, "color": _color(tile.kind), "title": title})
        at += tile.size
    sections, at = [], 0
    for section in one.sections:
        sections.append({"x1": at, "x2": at + section.size, "name": section.section})
        at += section.size
    return {"kind": "map", "size": one.size, "tiles": tiles, "sections": sections}


def _merged(tiles: Sequence[Tile], thinnest: float) -> list[Tile]:
    """Tiles of one kind and section that are too thin to be seen, as one."""
    found: list[Tile] = []
    for tile in tiles:
        last = found[-1] if found else None
        if last and min(last.size, tile.size) < thinnest and (last.kind, last.section) == (tile.kind, tile.section):
            found[-1] = last._replace(size=last.size + tile.size, name="")
        else:
            found.append(tile)
    return found


# --- roofline ---


def roofline(found: Roofline) -> Section:
    """Layers under their core's roofs, and the same as a table."""
    xs = [point.intensity for point in found.points]
    ys = [point.macs_per_cycle for point in found.points]
    knee = found.bounds.macs_per_cycle / found.bounds.bytes_per_cycle
    low, high = min([*xs, knee]) / 2, max([*xs, knee]) * 12
    steps = [low * (high / low) ** (step / 60) for step in range(61)]
    top = found.bounds.macs_per_cycle
    chart = {
        "kind": "roofline", "x": [low, high], "y": [min([*ys, found.bounds.attainable(low)]) / 1.6, top * 1.6],
        "bound": [{"x": x, "y": found.bounds.attainable(x)} for x in steps],
        "label": {"x": high, "y": found.bounds.attainable(high),
                  "text": f"{found.core}: at most {top:g} MACs a cycle ({found.bounds.compute.name})"},
        "points": [{"name": point.name, "x": point.intensity, "y": point.macs_per_cycle, "bound": point.bound_macs_per_cycle,
                    "title": f"{point.name}\n{point.macs_per_cycle:.3f} MACs a cycle, {point.share:.0%} of the bound\n"
                             f"{point.intensity:.2f} MACs a byte"}
                   for point in found.points]}
    return Section("roofline", "Roofline", "roofline", {"found": found, "bounds": found.bounds}, {"roofline-points": chart})


# --- functions ---


def functions(profile: FunctionProfile, found: Listing) -> Section:
    """Own and inclusive figures; unfolded, who called a function and what it called."""
    places = {function.symbol: place(function) for function in lines.shown(found)}
    callers: dict[str, list] = {}
    callees: dict[str, list] = {}
    for site in sorted(profile.calls, key=lambda site: -site.count):
        callers.setdefault(site.callee, []).append(site)
        callees.setdefault(site.caller, []).append(site)
    shown = profile.functions[:MOST_FUNCTIONS]
    values = {"profile": profile, "shown": shown, "hidden": len(profile.functions) - len(shown), "places": places, "callers": callers,
              "callees": callees,
              "kinds": {"call": "calls", "tail": "jumps", "handler": "exceptions", "fall": "ran on", "start": "started"}}
    return Section("functions", "Functions", "functions", values)


def place(function: FunctionListing) -> str:
    """The id of its listing."""
    return f"f-{function.address:08x}"


# --- listing ---


def listing(found: Listing, sources: Sources | None, most: int | None = None, unfolded: bool = False) -> Section:
    """Instruction by instruction, the dearest function first. most: functions that are shown, where there is room. unfolded: the first is, too, of several."""
    shown = lines.shown(found)[:most]
    left_out = found.functions[len(shown):]
    values = {
        "found": found, "palette": Palette(found.reasons), "reasons": {reason: sentence(reason) for reason in found.reasons},
        "functions": [(place(function), function, list(lines.lines(function, sources))) for function in shown],
        "missing": sources.missing[:MOST_FILES] if sources else (), "newer": sources.newer[:MOST_FILES] if sources else (),
        "sourced": sources is not None, "unfolded": unfolded or len(shown) == 1, "dearest_loops": lines.dearest_loops,
        "left_out": len(left_out), "left_out_cycles": sum(function.cycles for function in left_out)}
    return Section("listing", "Listing", "listing", values)


# --- what made it ---


def facts_of_build(about: Mapping[str, object]) -> list[tuple[str, str]]:
    """(what, value) of a profile's `about`."""
    image, toolchain = about["image"], about["toolchain"]
    return [("Kernel set", str(about["kernels"])), *(("Kernels", line) for line in whose(about)),
            ("Compiler", f"{toolchain['version']}, from {toolchain['origin']} ({toolchain['path']})"),
            ("Flags", " ".join(about["flags"])), ("Image", f"{image['path']}, {image['flash_bytes']:,} bytes of flash"), ("SHA-256", image["sha256"])]


def made(facts: Sequence[tuple[str, str]], command: str) -> Section:
    """What was measured, and the command that measures it again."""
    return Section("made", "Reproduce", "made", {"facts": facts, "command": command})
