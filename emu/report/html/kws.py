"""The keyword spotter's run as a page."""

from __future__ import annotations

from emu.errors import UsageError
from emu.experiment import roofline
from emu.profile import PARTS, Profile, Row
from emu.report.html import looked, shared
from emu.report.html.looked import Looked
from emu.report.html.page import Section, count, page, share
from emu.report.html.reasons import Palette
from emu.report.run import KwsRun
from emu.report.table import mismatches
from emu.result import Result


def render(run: KwsRun, command: str) -> str:
    """HTML text. Of several inputs the first is shown, the others with a line each."""
    if run.region is not None and run.region.begin:
        raise UsageError("--html shows all of an inference, layer by layer: leave out --from and --to")
    result, found = run.result, looked.look(run.ran, run.functions)
    profile, about = result.profile, result.profile.about
    return page(f"{about['network']}, {about['kernels']} kernels, {profile.core}", [
        _summary(result, found), _layers(result, found), _traffic(profile), *([_cores(result)] if len(result.cores) > 1 else []),
        shared.memory(found, profile.totals.stack_bytes), shared.roofline(roofline.points(profile, run.ran.core)),
        shared.functions(found.functions, found.listing), shared.listing(found.listing, found.sources), shared.made(_made(result), command)])


# --- summary ---


def _summary(result: Result, found: Looked) -> Section:
    profile, about = result.profile, result.profile.about
    values = {
        "heading": f"{about['network']}, {about['kernels']} kernels",
        "on": f"One inference on a modelled {profile.core} with {profile.memory} memory, input {about['input']}", "verdict": _verdict(profile),
        "sentences": _sentences(result, found), "facts": _facts(result), "inputs": result.inputs if len(result.inputs) > 1 else (),
        "answer": result.answer, "beside": result.beside, "totals": profile.totals, "kernels": about["kernels"], "mhz": result.mhz,
        "milliseconds": result.milliseconds}
    return Section("summary", "Summary", "kws_summary", values)


def _verdict(profile: Profile) -> tuple[bool | None, str]:
    totals = profile.totals
    if totals.max_abs_error is not None:
        return None, f"Floating point: at most {totals.max_abs_error:.1e} from the float reference"
    wrong = mismatches(profile)
    return (False, f"NOT bit-exact: {'; '.join(wrong)}") if wrong else (
        True, f"Bit-exact: every byte of all {len(profile.layers)} layers equals the NumPy reference")


def _sentences(result: Result, found: Looked) -> list[str]:
    """What to know first."""
    profile = result.profile
    cycles = profile.totals.cycles
    dearest = max(profile.layers, key=lambda row: row.cycles)
    return [f"{share(dearest.cycles, cycles)} of the cycles are {dearest.name}'s.", *shared.stalls(found.whole, cycles)]


def _facts(result: Result) -> list[tuple[str, str, str]]:
    """(what, figure, what belongs to it)."""
    totals, image = result.profile.totals, result.profile.about["image"]
    answer, milliseconds = result.answer, result.milliseconds(totals.cycles)
    per_mac = f"{totals.cycles_per_mac:.2f} a MAC, {totals.macs:,} MACs" if totals.cycles_per_mac is not None else ""
    return [
        ("Cycles", count(totals.cycles), per_mac),
        *([("Time", f"{milliseconds:.3f} ms", f"at {result.mhz:g} MHz")] if milliseconds is not None else []),
        ("Instructions", count(totals.instructions), f"{totals.skipped:,} of them skipped"),
        ("Data moved", f"{totals.bytes_read + totals.bytes_written:,} B", f"{totals.bytes_read:,} read, {totals.bytes_written:,} written"),
        ("Stack", f"{totals.stack_bytes:,} B", f"of {image['stack_reserve']:,} reserved"),
        ("Flash", f"{image['flash_bytes']:,} B", "code and constants"),
        ("RAM", f"{image['ram_bytes']:,} B", "with the stack's reserve"),
        ("Heard", answer.winner, f"{answer.confidence:.1%} confident" + ("" if answer.trained else "; untrained weights")),
    ]


# --- layers ---


def _rows(profile: Profile) -> list[Row]:
    return [*profile.layers, profile.outside]


def _layers(result: Result, found: Looked) -> Section:
    profile, rows, palette = result.profile, _rows(result.profile), Palette(found.listing.reasons)
    values = {"profile": profile, "rows": rows, "totals": profile.totals, "legend": palette.legend(), "why": found.why, "palette": palette,
              "milliseconds": result.milliseconds if result.mhz else None,
              "functions": _functions_by_layer(found)}
    chart = shared.reasons([row.name for row in rows], [found.why[row.name] for row in rows], palette)
    return Section("layers", "Layers", "layers", values, {"layer-cycles": chart})


def _functions_by_layer(looked_at: Looked) -> dict[str, list[tuple[str, str, int]]]:
    """(name, its listing's id, cycles) of the functions that ran in a layer, the dearest first."""
    found: dict[str, list[tuple[str, str, int]]] = {}
    for function in looked_at.listing.functions:
        for layer in function.layers:
            found.setdefault(layer, []).append((function.name, shared.place(function), function.cycles))
    return found


# --- traffic, cores ---


def _parts(profile: Profile) -> list[str]:
    return [part for part in PARTS if part in profile.totals.traffic]


def _traffic(profile: Profile) -> Section:
    rows, parts = _rows(profile), _parts(profile)
    drawn = [{"name": part, "color": part, "values": [row.traffic[part].bytes if part in row.traffic else 0 for row in rows]} for part in parts]
    chart = {"kind": "stacked", "unit": "bytes", "rows": [row.name for row in rows], "parts": drawn}
    values = {"rows": rows, "totals": profile.totals, "parts": parts, "legend": [(part, part) for part in parts]}
    return Section("traffic", "Traffic", "traffic", values, {"traffic-bytes": chart})


def _cores(result: Result) -> Section:
    names = [row.name for row in _rows(result.profile)]
    measured = [core for core in result.cores if core.profile]
    alike = [core for core in measured if len(core.profile.layers) == len(result.profile.layers)]  # an image of its own can merge layers
    columns = [(core.core, [row.cycles for row in _rows(core.profile)]) for core in alike]
    values = {"cores": result.cores, "alike": alike, "first": measured[0].profile.totals.cycles, "memory": result.profile.memory, "names": names,
              "columns": columns, "legend": shared.sides([core.core for core in alike])}
    return Section("cores", "Cores", "cores", values, {"core-cycles": shared.groups(names, columns, "cycles")})


# --- what made it ---


def _made(result: Result) -> list[tuple[str, str]]:
    about = result.profile.about
    return shared.facts_of_build(about) + [("Input", ", ".join(heard.name for heard in result.inputs)), ("Modelled core", result.profile.core),
                                           ("Memory", result.profile.memory)]

