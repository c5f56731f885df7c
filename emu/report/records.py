"""Flat rows with what made them, for Parquet: of the keyword spotter one a layer and core, of any program one a function."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from emu.functions import FunctionProfile
from emu.profile import PARTS, Profile
from emu.report import functions
from emu.result import Result

SCHEMA = 1  # of the rows; it changes when a column changes its meaning or goes
_COUNTED = ("instructions", "skipped", "cycles", "macs", "loads", "stores", "bytes_read", "bytes_written", "fetch_bytes", "weight_bytes",
            "activation_bytes", "stack_bytes", "wrong_bytes", "max_difference")
_MOVED = ("reads", "writes", "bytes_read", "bytes_written")
IMAGE = {"image": "string", "image_sha256": "string", "flash_bytes": "int64", "ram_bytes": "int64"}
BUILT = {**dict.fromkeys(("core", "memory", "network", "kernels", "opt", "flags", "compiler", "input"), "string"),
         **IMAGE}  # what made a profile of the keyword spotter
_LAYERS = {"layer": "string", "kernel": "string", **dict.fromkeys(_COUNTED, "int64"), "milliseconds": "double", "bit_exact": "bool",
           "max_abs_error": "double", **{f"{part}_{moved}": "int64" for part in PARTS for moved in _MOVED}, **BUILT, "mhz": "double",
           "reason": "string", "problem": "string"}
_FUNCTIONS = {**{name: "string" if name in ("name", "symbol") else "int64" for name in functions.COLUMNS},
              "core": "string", "memory": "string", "region": "string", **IMAGE}


@dataclass(frozen=True)
class Records:
    """columns: name -> Arrow's name of its type. A key that a row lacks is null. about: what made all of them."""

    columns: Mapping[str, str]
    rows: list[dict[str, Any]]
    about: Mapping[str, Any]

    def parquet(self) -> bytes:
        """A Parquet file; `about` is JSON in its metadata, under `thumbcycle`."""
        from emu import parquet

        return parquet.table_bytes(self.columns, self.rows, {"thumbcycle": json.dumps({"schema": SCHEMA, **self.about})})


def of_kws(result: Result) -> Records:
    """Layers and the code between them: of every input on the first core, and of the first input on the others."""
    rows = [row for heard in result.inputs for row in _layers(heard.profile, result)]
    for column in result.cores:
        if column.profile is None:
            rows.append({"core": column.core, "reason": column.reason, "problem": column.problem})
        elif column.core != result.profile.core:
            rows += [row | {"reason": column.reason or None} for row in _layers(column.profile, result)]
    return Records(_LAYERS, rows, result.profile.about)


def _layers(profile: Profile, result: Result) -> Iterator[dict[str, Any]]:
    made = built(profile) | {"mhz": result.mhz}
    for row in (*profile.layers, profile.outside):
        moved = {f"{part}_{name}": getattr(traffic, name) for part, traffic in row.traffic.items() for name in _MOVED}
        yield made | moved | {name: getattr(row, name) for name in (*_COUNTED, "kernel", "bit_exact", "max_abs_error")} | {
            "layer": row.name, "milliseconds": result.milliseconds(row.cycles)}


def built(profile: Profile) -> dict[str, Any]:
    """BUILT of a profile."""
    about = profile.about
    return {"core": profile.core, "memory": profile.memory, "flags": " ".join(about["flags"]), "compiler": about["toolchain"]["version"],
            **{name: about[name] for name in ("network", "kernels", "opt", "input")}, **of_image(about)}


def of_image(about: Mapping[str, Any]) -> dict[str, Any]:
    """IMAGE, of what a run says about itself."""
    image = about["image"]
    return {"image": image["path"], "image_sha256": image["sha256"], "flash_bytes": image["flash_bytes"], "ram_bytes": image["ram_bytes"]}


def of_functions(profile: FunctionProfile, about: Mapping[str, Any]) -> Records:
    """A row a function, the dearest first."""
    made = {"core": profile.core, "memory": profile.memory, "region": profile.region.title if profile.region else None, **of_image(about)}
    return Records(_FUNCTIONS, [made | row for row in functions.flat(profile)], about)
