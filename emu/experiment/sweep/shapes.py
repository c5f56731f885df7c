"""Shapes of a sweep file: each [[shape]] is one kernel's, or a grid of them, or the whole keyword spotter.

    [[shape]]
    kind = "conv2d"                 # one of KINDS
    size = ["8x8", 16]              # height x width of the input; a number is both
    in_c = { from = 1, to = 256, times = 2 }
    out_c = "in_c"                  # the same as another key
    kernel = ["3x3", "10x4"]
    stride = 1
    padding = "same"                # "valid"
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from emu import kws
from emu.experiment.sweep import values
from emu.experiment.sweep.values import SpecError

NETWORK = "network"  # the kind of a whole network
NETWORKS = ("kws",)
PADDINGS, ACTIVATIONS = ("same", "valid"), ("relu", "none")
_WINDOW = {"size": None, "in_c": None, "kernel": None, "stride": 1, "padding": "same"}
_ARITHMETIC = {"activation": "relu", "per_channel": True}
# kind -> its keys, and what they are when left out; None: they have to be there
KINDS: dict[str, dict[str, Any]] = {
    "conv2d": {**_WINDOW, "out_c": "in_c", **_ARITHMETIC},
    "depthwise_conv2d": {**_WINDOW, **_ARITHMETIC},
    "pointwise_conv2d": {"size": None, "in_c": None, "out_c": "in_c", **_ARITHMETIC},
    "dense": {"in_c": None, "out_c": "in_c", **_ARITHMETIC},
    "max_pool2d": {**_WINDOW, "stride": "kernel", "padding": "valid"},
    "global_avg_pool2d": {"size": None, "in_c": None},
}
_READ: dict[str, Callable[[str, object], Any]] = {
    "size": values.pair, "in_c": values.number, "out_c": values.number, "kernel": values.pair, "stride": values.pair,
    "padding": values.choice(PADDINGS), "activation": values.choice(ACTIVATIONS), "per_channel": values.flag}
_PAIRS = ("size", "kernel", "stride")
MOST_SHAPES = 1_000_000


@dataclass(frozen=True)
class Shape:
    """A kernel's sizes and arithmetic, or a network and its input, in `facts`, sorted by key; name: what tables call it."""

    kind: str
    name: str
    facts: tuple[tuple[str, Any], ...]

    @property
    def values(self) -> dict[str, Any]:
        return dict(self.facts)

    def kernel(self, kernels: str) -> str:
        """The ABI's function that set has for it."""
        return f"{self.kind}_{'f32' if kernels == kws.FLOAT_SET else 's8'}"


def read(where: str, table: object) -> Iterator[Shape]:
    """Every shape of one [[shape]]. SpecError."""
    if isinstance(table, dict) and NETWORK in table:
        yield from _networks(where, table)
        return
    kind = values.choice(tuple(KINDS))(f"{where}: kind", table["kind"]) if isinstance(table, dict) and "kind" in table else None
    if kind is None:
        values.known_keys(where, table, ("kind", NETWORK, "name", *KINDS["conv2d"]))
        raise SpecError(f"{where}: no kind; there are {', '.join(KINDS)}, or network = \"kws\"")
    yield from _grid(f"{where} ({kind})", kind, values.known_keys(f"{where} ({kind})", table, ("kind", "name", *KINDS[kind])))


def _networks(where: str, table: Mapping[str, Any]) -> Iterator[Shape]:
    """A shape an input."""
    values.known_keys(where, table, (NETWORK, "input", "name"))
    network = values.choice(NETWORKS)(f"{where}: network", table[NETWORK])
    words = values.values(f"{where}: input", table.get("input", "yes"), values.choice(kws.WORDS))
    name = values.text(f"{where}: name", table.get("name", network))
    for word in words:
        yield Shape(NETWORK, name if len(words) == 1 else f"{name} {word}", (("input", word), (NETWORK, network)))


def _grid(where: str, kind: str, table: Mapping[str, Any]) -> Iterator[Shape]:
    name = values.text(f"{where}: name", table["name"]) if "name" in table else ""
    lists, tied = _lists(where, kind, table)
    count = 1
    for found in lists.values():
        count *= len(found)
    if count > MOST_SHAPES:
        raise SpecError(f"{where}: {count:,} shapes; at most {MOST_SHAPES:,} are made")
    for combination in itertools.product(*lists.values()):
        facts = dict(zip(lists, combination, strict=True))
        facts |= {key: facts[other] for key, other in tied.items()}
        said = describe(kind, facts)
        label = said if not name else name if count == 1 else f"{name} {said}"
        yield Shape(kind, label, tuple(sorted(facts.items())))


def _lists(where: str, kind: str, table: Mapping[str, Any]) -> tuple[dict[str, tuple[Any, ...]], dict[str, str]]:
    """The values of each key, in the file's order, and the keys that are as others."""
    given = {**{key: table[key] for key in table if key in KINDS[kind]},
             **{key: usual for key, usual in KINDS[kind].items() if key not in table}}
    if missing := [key for key, value in given.items() if value is None]:
        raise SpecError(f"{where}: no {', '.join(missing)}")
    tied = {key: value for key, value in given.items() if isinstance(value, str) and value in given}
    for key, other in tied.items():
        if other in tied or (key in _PAIRS) != (other in _PAIRS) or key == other:
            raise SpecError(f"{where}: {key} cannot be as {other}")
    return {key: values.values(f"{where}: {key}", value, _READ[key]) for key, value in given.items() if key not in tied}, tied


def describe(kind: str, facts: Mapping[str, Any]) -> str:
    """A shape in a few words: conv2d 32x32x3->16 3x3/2."""
    height, width = facts.get("size", (1, 1))
    parts = [kind, f"{height}x{width}x{facts['in_c']}" if "size" in facts else str(facts["in_c"])]
    if "out_c" in facts:
        parts[1] += f"->{facts['out_c']}"
    if "kernel" in facts:
        kernel, stride = facts["kernel"], facts["stride"]
        usual = kernel if kind == "max_pool2d" else (1, 1)
        apart = "" if stride == usual else f"/{stride[0]}" if stride[0] == stride[1] else f"/{stride[0]}x{stride[1]}"
        parts.append(f"{kernel[0]}x{kernel[1]}{apart}")
        if facts["padding"] != KINDS[kind]["padding"]:
            parts.append(facts["padding"])
    if facts.get("activation", "relu") != "relu":
        parts.append("no relu")
    if not facts.get("per_channel", True):
        parts.append("per tensor")
    return " ".join(parts)
