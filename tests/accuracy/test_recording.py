"""A recording gives back what timing asked of the run, and nothing that a program could be made of."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from emu.errors import InputError
from emu.probe import Counts, Site, Stream
from emu.probe.follow import FETCH, Cache, Predictor
from emu.timing import core as cores
from emu.timing import pricing, recording, roles


def test_prices_as_the_run_did(kws_run, tmp_path: Path) -> None:
    counts, instructions = kws_run
    path = tmp_path / "run.npz"
    path.write_bytes(recording.save(recording.record(counts, instructions)))
    again = recording.load(path)
    for name in cores.names():
        core = cores.load(name)
        assert pricing.price(again.counts, again.instructions, core).sum() == pricing.price(counts, instructions, core).sum(), name
    assert again.counts.instructions().sum() == counts.instructions().sum()
    assert again.counts.memories == counts.memories
    assert recording.save(again) == path.read_bytes()


def test_holds_no_machine_code(kws_run, tmp_path: Path) -> None:
    counts, instructions = kws_run
    path = tmp_path / "run.npz"
    path.write_bytes(recording.save(recording.record(counts, instructions)))
    for instruction in list(recording.load(path).instructions.values()):
        assert (instruction.offset, instruction.scale, instruction.condition) == (0, 0, 0)
        assert instruction.text == roles.notation(instruction)  # what its registers are for, not what it does with them


def test_followers_are_kept(kws_run, tmp_path: Path) -> None:
    counts, instructions = kws_run
    followers = (Cache(FETCH, ((0x08000000, 1 << 20),), 16, 1, 64), Predictor(64, 1, 256, 4, 8))
    site = Site(0, counts.streams[0].start, 0x40, 3, 17)
    changed = Counts(**vars(counts) | {"followers": followers, "sites": [*counts.sites, site]})
    path = tmp_path / "run.npz"
    path.write_bytes(recording.save(recording.record(changed, instructions)))
    again = recording.load(path).counts
    assert again.followers == followers
    assert site in again.sites


def test_layers_and_contexts_are_summed() -> None:
    streams = [Stream(layer, 0x100, 0x100, True, b"", 1, 5, context, True) for layer, context in ((0, 0), (1, 0), (1, 7))]
    counts = recording._counts(streams, [], {}, ())
    assert recording.record(counts, {}).counts.streams == [Stream(0, 0x100, 0x100, True, b"", 1, 15, 0, True)]


def _damage(content: bytes, name: str, array: np.ndarray) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(out, "w") as after:
        for item in before.namelist():
            if item != f"{name}.npy":
                after.writestr(item, before.read(item))
                continue
            raw = io.BytesIO()
            np.save(raw, array)
            after.writestr(item, raw.getvalue())
    return out.getvalue()


def _claims(content: bytes, count: int) -> bytes:
    """Its sites say that they are so many."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(out, "w") as after:
        for item in before.namelist():
            raw = io.BytesIO()
            np.lib.format.write_array_header_1_0(raw, {"descr": "<u8", "fortran_order": False, "shape": (count,)})
            after.writestr(item, raw.getvalue() if item == "sites.npy" else before.read(item))
    return out.getvalue()


@pytest.mark.parametrize("what", ["missing", "empty", "text", "cut", "dtype", "schema", "far", "events", "huge"])
def test_wrong_files(kws_run, tmp_path: Path, what: str) -> None:
    counts, instructions = kws_run
    good = recording.save(recording.record(counts, instructions))
    streams = np.load(io.BytesIO(good))["streams"]
    lost = streams.copy()
    lost["start"][0] = 0x12345678
    content = {
        "empty": b"", "text": b"hello", "cut": good[:len(good) // 2], "dtype": _damage(good, "sites", np.zeros(3)),
        "schema": _damage(good, "about", np.frombuffer(b'{"schema": 99, "memories": {}}', np.uint8)), "far": _damage(good, "streams", lost),
        "huge": _claims(good, 1 << 40), "events": _damage(good, "about", np.frombuffer(b'{"schema": 1, "memories": {}, "followers": [["Popen", {}]]}', np.uint8)),
    }.get(what)
    path = tmp_path / "run.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"run\.npz: ") as error:
        recording.load(path)
    assert "\n" not in str(error.value)
