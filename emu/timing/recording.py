"""A run kept as data, to be priced again: streams and their counts, and of each instruction what timing asks for. No machine code.

A recording is an .npz of plain arrays. Kept of an instruction: where it stands, its width and kind, the registers that it reads and writes, its
memory accesses; not its operands, so a program cannot be made of it again.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emu.errors import InputError
from emu.isa.instruction import KINDS, RECORD, Instruction
from emu.probe import Counts, Site, Stream
from emu.probe.follow import Cache, Follower, Predictor
from emu.timing.roles import notation

SCHEMA = 1
MOST_BYTES = 64 << 20  # of one array, unpacked
# What numpy, json and zipfile raise on garbage; MemoryError for an array that says it is larger than the file.
_DAMAGED = (zipfile.BadZipFile, ValueError, LookupError, TypeError, AttributeError, EOFError, NotImplementedError, ArithmeticError, MemoryError)
# What of emu.isa's record is kept.
KEPT = ("address", "size", "kind", "flags", "reads", "writes", "addend", "base", "index", "access_size", "accesses", "align")
_INSTRUCTIONS = np.dtype([*((name, RECORD[name]) for name in KEPT), ("roles", RECORD["text"])])  # roles.notation() stands for the text
_STREAMS = np.dtype([("start", "u4"), ("end", "u4"), ("taken", "?"), ("entered", "?"), ("events", "u4"), ("number", "u4"), ("length", "u4"), ("count", "u8")])
_SITES = np.dtype([("pc", "u4"), ("kind", "u1"), ("bucket", "u1"), ("count", "u8")])
_ARRAYS = {"instructions": _INSTRUCTIONS, "streams": _STREAMS, "sites": _SITES, "events": np.dtype("u1"), "about": np.dtype("u1")}


@dataclass(frozen=True)
class Recording:
    """`counts` has one layer, 0: the whole run, without traffic."""

    instructions: Mapping[int, Instruction]
    counts: Counts


def record(counts: Counts, instructions: Mapping[int, Instruction]) -> Recording:
    """What of a run timing asks for: layers and calling contexts are summed."""
    streams: dict[tuple, int] = {}
    for s in counts.streams:
        key = (s.start, s.end, s.taken, s.entered, s.events, s.length)
        streams[key] = streams.get(key, 0) + s.count
    sites: dict[tuple[int, int, int], int] = {}
    for site in counts.sites:
        key = (site.pc, site.kind, site.bucket)
        sites[key] = sites.get(key, 0) + site.count
    return Recording(instructions, _counts(
        [Stream(0, start, end, taken, events, length, count, 0, entered) for (start, end, taken, entered, events, length), count in streams.items()],
        [Site(0, *key, count) for key, count in sites.items()], counts.memories, counts.followers))


def _counts(streams: list[Stream], sites: list[Site], memories: Mapping[int, tuple[str, int, int]], followers: Sequence[Follower]) -> Counts:
    return Counts(layers=0, streams=streams, sites=sites, traffic=np.zeros((1, 0, 2, 3), np.int64), objects=(), entries=[0], calls=[0],
                  stack=[0], peak=0, memories=dict(memories), followers=tuple(followers))


def save(recording: Recording) -> bytes:
    """The recording as a file's content; the same recording gives the same bytes."""
    counts, pool, rows = recording.counts, bytearray(), []
    places: dict[bytes, int] = {}
    for s in sorted(counts.streams):
        place = places.setdefault(s.events, len(pool))
        if place == len(pool):
            pool += s.events
        rows.append((s.start, s.end, s.taken, s.entered, place, len(s.events), s.length, s.count))
    arrays = {
        "instructions": np.array([_kept(recording.instructions[address]) for address in _executed(recording)], _INSTRUCTIONS),
        "streams": np.array(rows, _STREAMS),
        "sites": np.array([(s.pc, s.kind, s.bucket, s.count) for s in sorted(counts.sites)], _SITES),
        "events": np.frombuffer(bytes(pool), np.uint8),
        "about": np.frombuffer(json.dumps(_about(counts)).encode(), np.uint8),
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_LZMA) as archive:  # numpy's own writer would put the date in
        for name, array in arrays.items():
            content = io.BytesIO()
            np.save(content, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue(), zipfile.ZIP_LZMA)
    return packed.getvalue()


def _about(counts: Counts) -> dict[str, Any]:
    return {"schema": SCHEMA, "memories": dict(counts.memories),
            "followers": [[type(follower).__name__, asdict(follower)] for follower in counts.followers]}


def _executed(recording: Recording) -> list[int]:
    """Addresses of all instructions of all streams."""
    found: set[int] = set()
    for start, end in {(s.start, s.end) for s in recording.counts.streams}:
        at = start
        while at <= end:
            found.add(at)
            at += recording.instructions[at].size
    return sorted(found)


def _kept(instruction: Instruction) -> tuple:
    kept = (KINDS.index(value) if name == "kind" else value for name in KEPT for value in (getattr(instruction, name),))
    return (*kept, notation(instruction).encode())


def load(path: Path | str) -> Recording:
    """InputError for a file that cannot be read or is no recording of this version."""
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = {name: _array(archive, name, dtype) for name, dtype in _ARRAYS.items()}
        about = json.loads(arrays["about"].tobytes())
        if about["schema"] != SCHEMA:
            raise InputError(f"{path}: a recording of version {about['schema']}; this thumbcycle reads version {SCHEMA}")
        memories = {int(number): (str(name), int(start), int(size)) for number, (name, start, size) in about["memories"].items()}
        return _recording(arrays, memories, [_follower(*row) for row in about["followers"]])
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except _DAMAGED as error:
        raise InputError(f"{path}: not a recording of a run ({error}); python -m emu.run FILE.elf --record makes one") from None


def _array(archive: zipfile.ZipFile, name: str, dtype: np.dtype) -> np.ndarray:
    if archive.getinfo(f"{name}.npy").file_size > MOST_BYTES:
        raise ValueError(f"{name} is larger than {MOST_BYTES >> 20} MiB")
    with archive.open(f"{name}.npy") as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
    if array.dtype != dtype or array.ndim != 1:
        raise ValueError(f"{name} is {array.dtype}, not {dtype}")
    return array


def _follower(kind: str, fields: dict[str, Any]) -> Follower:
    if kind == Cache.__name__:
        return Cache(**fields | {"ranges": tuple((int(start), int(size)) for start, size in fields["ranges"])})
    return {Predictor.__name__: Predictor}[kind](**fields)


def _recording(arrays: Mapping[str, np.ndarray], memories: Mapping[int, tuple[str, int, int]], followers: Sequence[Follower]) -> Recording:
    pool = arrays["events"].tobytes()
    instructions = {row[0]: Instruction(**(dict(zip(KEPT, row[:-1], strict=True)) | {"kind": KINDS[row[2]]}), scale=0, offset=0, condition=0,
                                        text=row[-1].decode())
                    for row in arrays["instructions"].tolist()}
    streams = [Stream(0, start, end, taken, pool[place:place + number], length, count, 0, entered)
               for start, end, taken, entered, place, number, length, count in arrays["streams"].tolist()]
    for start, end in {(s.start, s.end) for s in streams}:
        if start not in instructions or end not in instructions:
            raise ValueError(f"no instruction at 0x{start:08x} or 0x{end:08x}, where a stream begins and ends")
    return Recording(instructions, _counts(streams, [Site(0, *row) for row in arrays["sites"].tolist()], memories, followers))
