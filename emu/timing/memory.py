"""A board's memories: data read from `memories/NAME.toml`, checked when it is loaded; and what they add to a core's cycles."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from emu import tables
from emu.errors import UsageError
from emu.isa.instruction import Flag
from emu.probe import Counts, follow
from emu.timing.bus import IDEAL, Behaviour, Bus, Wait
from emu.timing.lines import Lines, found
from emu.timing.step import Step

MEMORIES = Path(__file__).with_name("memories")
DEFAULT = "zero-wait"
_STORE = int(Flag.STORE)  # an int is several times faster than the flag

# Tables of a file -> their rows -> the keys of a row beside `source`; rows and keys in OPTIONAL may be left out.
REGION = {"addresses": {"start", "size"}, "load": {"first", "next"}, "store": {"first", "next"},
          "store_holds": {"cycles"}, "switch": {"cycles", "within"}, "displaces": {"requests"}}
CACHE = {"watches": {"accesses", "regions"}, "shape": {"line", "sets", "ways", "replacement", "prefetch"},
         "writes": {"write_back", "store_allocates"}, "cost": {"fetch_miss", "load_miss", "store_miss", "evicted"}}
OPTIONAL = {"load", "store", "store_holds", "switch", "displaces", *CACHE["cost"],
            "writes", "clock", "regions", "caches", "ways", "replacement", "prefetch"}
_HEAD = {"name", "board", "clock", "not_modelled", "regions", "caches"}
_ACCESSES = {"fetch": follow.FETCH, "load": follow.LOAD, "store": follow.STORE}
_TYPES = {"accesses": list, "regions": list, "replacement": str, "prefetch": bool, "write_back": bool, "store_allocates": bool}


@dataclass(frozen=True)
class Region:
    """Addresses that behave alike."""

    name: str
    start: int
    size: int
    behaviour: Behaviour = IDEAL


@dataclass(frozen=True)
class Cost:
    """Cycles of a cache's events, beyond a hit's."""

    fetch_miss: int = 0
    load_miss: int = 0
    store_miss: int = 0
    evicted: int = 0

    def cycles(self, event: int) -> int:
        """Of one event of data (follow.h)."""
        return {follow.LOAD_MISS: self.load_miss, follow.STORE_MISS: self.store_miss, follow.EVICTED: self.evicted}.get(event, 0)


@dataclass(frozen=True)
class Placed:
    """A table's memories as one machine numbers them."""

    identity: Mapping[int, int]  # the machine's number -> a number that memories which the table does not tell apart share
    behaviours: Mapping[int, Behaviour]  # by identity; of memories that are not ideal
    costs: Mapping[int, Cost]  # kind of site -> what the events of that follower cost
    fetches: Mapping[int, tuple[int, int]]  # number of a follower of fetch -> bytes of a line, cycles that a miss waits

    @property
    def of_streams(self) -> tuple[tuple, ...]:
        """What prices of streams depend on."""
        return tuple(tuple(sorted(part.items())) for part in (self.identity, self.behaviours, self.fetches))

    def bus(self) -> Bus | None:
        """The bus at the begin of a stream; None where no access can wait."""
        return Bus(self._waiting) if self._waiting else None

    def waits(self, steps: Sequence[Step]) -> list[int]:
        """Cycles that the memories add to each instruction of a stream by itself (empty: none to any)."""
        return [self._wait(step) for step in steps] if self.behaviours else []

    @functools.cached_property
    def _waiting(self) -> Mapping[int, Behaviour]:
        return {memory: behaviour for memory, behaviour in self.behaviours.items() if behaviour.waits}

    def displaced(self, steps: Sequence[Step]) -> list[int]:
        """Requests for code that each instruction's loads displace (empty: nothing is)."""
        if not any(behaviour.displaces for behaviour in self.behaviours.values()):
            return []
        return [self._of(step).displaces * step.instruction.accesses * (not step.instruction.flags & _STORE) for step in steps]

    def _wait(self, step: Step) -> int:
        behaviour = self._of(step)
        return (behaviour.store if step.instruction.flags & _STORE else behaviour.load).cycles(step.instruction.accesses)

    def _of(self, step: Step) -> Behaviour:
        return IDEAL if step.skipped else self.behaviours.get(step.memory, IDEAL)

    def lines(self, start: int, events: bytes) -> Lines | None:
        """The lines of a stream that come late; None where none does."""
        late = found(events, self.fetches) if self.fetches else None
        return Lines(start, late[1], late[0], late[2]) if late else None

    def site(self, kind: int, bucket: int) -> int:
        """Cycles of one count of a follower's site; 0 for the sites of others."""
        cost = self.costs.get(kind)
        return cost.cycles(bucket) if cost else 0


@dataclass(frozen=True)
class Memory:
    """One memory table."""

    name: str
    board: str
    clock: int  # Hz; 0: at any
    not_modelled: tuple[str, ...]
    regions: tuple[Region, ...]
    caches: tuple[tuple[follow.Cache, Cost], ...]

    @property
    def followers(self) -> tuple[follow.Cache, ...]:
        """What has to follow a run that this table prices."""
        return tuple(cache for cache, _ in self.caches)

    def placed(self, memories: Mapping[int, tuple[str, int, int]], followers: Sequence[follow.Follower] = ()) -> Placed:
        """The table for a run whose machine has these memories (number -> name, start, bytes) and was followed by these followers.

        UsageError when the run does not tell memories apart that the table does, or lacks a follower.
        """
        identity = self._identities(memories)
        behaviours = {}
        for number, (name, start, size) in memories.items():
            touched = {r.behaviour: r.name for r in reversed(self.regions) if r.start < start + size and start < r.start + r.size}
            if len(touched) > 1:
                apart = " from ".join(reversed(touched.values()))
                raise UsageError(f"memory table {self.name} tells {apart}, but this run saw one memory, {name}: "
                                 f"run it with --memory {self.name}")
            behaviours |= {identity[number]: behaviour for behaviour in touched if behaviour != IDEAL}  # noqa: B035 - at most one
        if missing := [cache for cache in self.followers if cache not in followers]:
            kind = "fetches" if missing[0].watches & follow.FETCH else "data"
            raise UsageError(f"memory table {self.name} needs a cache that follows the run's {kind}: run it with --memory {self.name}")
        numbers = {cache: tuple(followers).index(cache) for cache in self.followers}
        fetches = {numbers[cache]: (cache.line, cost.fetch_miss) for cache, cost in self.caches if cache.watches & follow.FETCH}
        return Placed(identity, behaviours, {follow.FOLLOWED + numbers[cache]: cost for cache, cost in self.caches}, fetches)

    def notes(self, counts: Counts) -> tuple[str, ...]:
        """One line for all memories that the run used and the table does not know; none for a table that knows no addresses."""
        unknown = [(name, start) for number, (name, start, size) in sorted(counts.memories.items())
                   if not any(r.start <= start < r.start + r.size for r in self.regions) and _used(counts, number, start, size)]
        if not self.regions or not unknown:
            return ()
        where = ", ".join(f"{name} at 0x{start:08x}" for name, start in unknown)
        return (f"memory table {self.name} does not know {where}: what is there costs no wait states",)

    def _identities(self, memories: Mapping[int, tuple[str, int, int]]) -> dict[int, int]:
        """A memory that begins in a region is that region; neighbours outside all regions are one memory."""
        identity, free = {}, len(self.regions)
        end = None
        for number, (_, start, size) in sorted(memories.items(), key=lambda item: item[1][1]):
            inside = [i for i, r in enumerate(self.regions) if r.start <= start < r.start + r.size]
            free += not inside and start != end
            identity[number] = inside[0] if inside else free
            end = None if inside else start + size
        return identity


def _used(counts: Counts, number: int, start: int, size: int) -> bool:
    return any(start <= s.start < start + size or number in s.events for s in counts.streams)


ANYWHERE = Placed({}, {}, {}, {})  # zero wait states, memories as the machine tells them apart


def names() -> list[str]:
    """Names of the memory tables."""
    return tables.names(MEMORIES)


@functools.cache
def load(name: str) -> Memory:
    """The table of that name; UsageError names the ones that exist."""
    return tables.load(MEMORIES, "memory", name, from_table)


def boundaries(tables: Iterable[str]) -> list[tuple[str, int, int]]:
    """What those tables tell apart: (name, start, bytes), disjoint, by address. A machine that is split so can be priced with any."""
    regions = [region for name in tables for region in load(name).regions]
    edges = sorted({edge for r in regions for edge in (r.start, r.start + r.size)})
    pieces = []
    for start, end in itertools.pairwise(edges):
        inside = dict.fromkeys(r.name for r in regions if r.start <= start and end <= r.start + r.size)
        if inside:
            pieces.append(("/".join(inside), start, end - start))
    return pieces


def followers(tables: Iterable[str]) -> tuple[follow.Cache, ...]:
    """What has to follow a run that these tables price; each once."""
    return tuple(dict.fromkeys(cache for name in tables for cache in load(name).followers))


def from_table(table: Mapping) -> Memory:
    """A Memory from a parsed table. ValueError for what is missing, unknown or of the wrong type, and for a row without its source."""
    _same("key", table, _HEAD)
    if isinstance(table.get("clock"), dict):
        _row("clock", table["clock"], {"hertz"})
    regions = []
    for name, rows in _tables(table, "regions").items():
        _same(f"row of {name}", rows, set(REGION))
        for row, keys in rows.items():
            _row(f"{name}.{row}", keys, REGION[row])
        waits = (Wait(**_values(rows.get(row, {}))) for row in ("load", "store"))
        holds, displaces = rows.get("store_holds", {}).get("cycles", 0), rows.get("displaces", {}).get("requests", 0)
        switch = rows.get("switch", {})
        behaviour = Behaviour(*waits, displaces, holds, switch.get("cycles", 0), switch.get("within", 0))
        regions.append(Region(name, **_values(rows["addresses"]), behaviour=behaviour))
    _disjoint(regions)
    caches = tuple(_cache(name, rows, {r.name: r for r in regions}) for name, rows in _tables(table, "caches").items())
    if not (isinstance(table["not_modelled"], list) and all(isinstance(line, str) for line in table["not_modelled"])):
        raise ValueError("not_modelled: a list of sentences was expected")
    clock = table.get("clock", {}).get("hertz", 0)
    return Memory(table["name"], table["board"], clock, tuple(table["not_modelled"]), tuple(regions), caches)


def _cache(name: str, rows: Mapping, regions: Mapping[str, Region]) -> tuple[follow.Cache, Cost]:
    _same(f"row of {name}", rows, set(CACHE))
    for row, keys in rows.items():
        _row(f"{name}.{row}", keys, CACHE[row])
    watches, shape = rows["watches"], _values(rows["shape"])
    if unknown := [*(set(watches["accesses"]) - set(_ACCESSES)), *(set(watches["regions"]) - set(regions))]:
        raise ValueError(f"{name}.watches: {unknown[0]!r} is neither an access ({', '.join(_ACCESSES)}) nor one of the table's regions")
    seen = tuple((regions[region].start, regions[region].size) for region in watches["regions"])
    try:
        cache = follow.Cache(sum(_ACCESSES[item] for item in set(watches["accesses"])), seen, **{"ways": 0} | shape,
                             **_values(rows.get("writes", {})))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return cache, Cost(**_values(rows["cost"]))


def _tables(table: Mapping, key: str) -> Mapping:
    found = table.get(key, {})
    if not isinstance(found, dict) or any(not isinstance(rows, dict) for rows in found.values()):
        raise ValueError(f"{key}: tables were expected")
    return found


def _values(row: Mapping) -> dict:
    return {key: value for key, value in row.items() if key != "source"}


def _row(what: str, row: object, keys: AbstractSet[str]) -> None:
    _same(f"key of {what}", row, keys | {"source"})
    for key, value in row.items():
        wanted = str if key == "source" else _TYPES.get(key, int)
        if type(value) is not wanted or (wanted is int and not 0 <= value < 1 << 32):
            raise ValueError(f"{what}.{key}: {wanted.__name__} expected (a number not negative), not {value!r}")


def _same(what: str, found: object, wanted: AbstractSet[str]) -> None:
    if not isinstance(found, dict):
        raise ValueError(f"{what}: a table was expected, not {found!r}")  # noqa: TRY004
    if unknown := found.keys() - wanted:
        raise ValueError(f"unknown {what}: {', '.join(sorted(unknown))}")
    if missing := wanted - OPTIONAL - found.keys():
        raise ValueError(f"missing {what}: {', '.join(sorted(missing))}")


def _disjoint(regions: Sequence[Region]) -> None:
    ordered = sorted(regions, key=lambda r: r.start)
    for one, other in itertools.pairwise(ordered):
        if other.start < one.start + one.size:
            raise ValueError(f"regions {one.name} and {other.name} overlap")
