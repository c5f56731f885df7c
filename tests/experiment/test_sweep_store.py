"""Results: a Parquet file and a journal, through kills, full disks, damage and other versions; and a build cache that processes share."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from emu import files, parquet
from emu.build.cache import REPOSITORY
from emu.errors import InputError
from emu.experiment.sweep import store as stores
from emu.experiment.sweep.columns import TYPES
from emu.experiment.sweep.store import Store, load


def row(point: str, **more: object) -> dict[str, object]:
    return {**dict.fromkeys(TYPES), "point": point, "key": point * 2, "status": "ok", "cycles": 7, "git_dirty": True, "cycles_per_mac": 0.1, **more}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.parquet"


def killed(path: Path, *points: str) -> None:
    """As a sweep leaves it that wrote these rows and was killed."""
    store = Store(path)
    store.add(row(point) for point in points)
    os.close(store._file)


def test_rows_in_the_order_of_the_plan_and_no_journal(path: Path) -> None:
    store = Store(path)
    store.add([row("c"), row("a", error="é"), row("d")])
    assert store.journal.exists() and not path.exists()
    store.close(["a", "b", "c"])
    assert load(path) == [row("a", error="é"), row("c"), row("d")]
    assert [file.name for file in path.parent.iterdir()] == ["x.parquet"]


def test_a_row_replaces_the_one_of_its_point(path: Path) -> None:
    for cycles in (1, 2):
        store = Store(path)
        store.add([row("a", cycles=cycles), row("b")])
        store.close(["a", "b"])
    assert load(path) == [row("a", cycles=2), row("b")]


def test_what_was_kept_before_a_kill_is_there(path: Path) -> None:
    killed(path, "a", "b")
    killed(path, "c")
    with path.with_name("x.parquet.journal").open("ab") as journal:
        journal.write(b'{"row": {"point": "d", "sta')  # killed while it wrote
    store = Store(path)
    assert list(store.rows) == ["a", "b", "c"]
    store.add([row("e")])
    store.close("abcde")
    assert [found["point"] for found in load(path)] == ["a", "b", "c", "e"]


def test_fresh_begins_anew(path: Path) -> None:
    store = Store(path)
    store.add([row("a")])
    store.close()
    killed(path, "b")
    store = Store(path, fresh=True)
    assert not store.rows
    assert load(path) == [row("a")]  # until there is something to replace it
    store.add([row("c")])
    store.close()
    assert load(path) == [row("c")]


def test_two_sweeps(path: Path) -> None:
    first = Store(path)
    first.add([row("a")])
    with pytest.raises(InputError, match=rf"x.parquet is being written by another sweep \(process {os.getpid()} on .+\): wait for its end, or name"):
        Store(path)
    first.close()
    Store(path).close()


@pytest.mark.parametrize("written", [0, 10])
def test_a_full_disk_while_points_end(path: Path, monkeypatch: pytest.MonkeyPatch, written: int) -> None:
    store = Store(path)
    store.add([row("a")])
    write = os.write

    def full(file: int, data: bytes) -> int:
        if written:
            return write(file, data[:written])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(stores.os, "write", full)
        with pytest.raises(InputError, match=r"x.parquet.journal: No space left on device; what was done is kept in .*start the same command again"):
            store.add([row("b")])
    os.close(store._file)
    again = Store(path)
    assert list(again.rows) == ["a"]
    again.close()


def test_a_full_disk_at_the_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(path)
    store.add([row("a")])
    store.close()
    before = path.read_bytes()
    store = Store(path)
    store.add([row("b")])

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(files.Path, "write_bytes", full)
        with pytest.raises(InputError, match=r"x.parquet: No space left on device; what was done is kept in .*x.parquet.journal"):
            store.close()
    assert path.read_bytes() == before and len(list(path.parent.iterdir())) == 2
    again = Store(path)
    assert list(again.rows) == ["a", "b"]
    again.close()


def test_results_that_lack_a_column(path: Path) -> None:
    about = {"thumbcycle.sweep.schema": "1", "thumbcycle.sweep.version": "1"}
    path.write_bytes(parquet.table_bytes({name: kind for name, kind in TYPES.items() if name != "cycles"}, [row("a")], about))
    with pytest.raises(InputError, match="no column cycles"):
        load(path)


def test_results_of_another_schema(path: Path) -> None:
    path.write_bytes(parquet.table_bytes(TYPES, [row("a")], {"thumbcycle.sweep.schema": "99", "thumbcycle.sweep.version": "9.9"}))
    before = path.read_bytes()
    for read in (Store, load):
        with pytest.raises(InputError, match=r"results of thumbcycle 9.9, schema 99; this is .*, schema 1: name another --out, or --fresh"):
            read(path)
    assert path.read_bytes() == before
    store = Store(path, fresh=True)
    store.add([row("b")])
    store.close()
    assert load(path) == [row("b")]


def test_a_journal_of_another_schema(path: Path) -> None:
    path.with_name("x.parquet.journal").write_text(json.dumps({"thumbcycle.sweep": 99, "version": "9.9", "pid": 1, "host": "x"}) + "\n")
    with pytest.raises(InputError, match="x.parquet.journal: results of thumbcycle 9.9, schema 99"):
        Store(path)


@pytest.mark.parametrize(("content", "message"), [
    (parquet.table_bytes({"x": "int64"}, [], {}), "no results of a sweep; name another --out"), (b"name,cycles\n", "no Parquet file")])
def test_files_of_others_are_left_alone(path: Path, content: bytes, message: str) -> None:
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        Store(path)
    assert path.read_bytes() == content


def test_a_damaged_journal(path: Path) -> None:
    killed(path, "a", "b")
    journal = path.with_name("x.parquet.journal")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(lines[0] + b"\x00\x00\n" + lines[2])
    with pytest.raises(InputError, match="journal: line 2 is no line of a sweep's journal"):
        Store(path)
    assert journal.exists()


def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write .*: No such file or directory"):
        Store(tmp_path / "no" / "x.parquet")


BUILD = """
import sys
from emu.build import compile, toolchain
from emu.build.elf import Image
sys.stdin.read(1)
image = Image.load(compile.build("c", generated={}, float_abi=False, toolchain=toolchain.find(), script="library", opt="O1"))
print(image.sha256)
"""


def test_processes_share_the_build_cache(tmp_path: Path) -> None:
    """Several build the same image at the same moment: each gets it whole, and the cache holds every file once, none half."""
    environment = {**os.environ, "THUMBCYCLE_CACHE": str(tmp_path), "PYTHONPATH": str(REPOSITORY)}
    builders = [subprocess.Popen([sys.executable, "-c", BUILD], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda builder: builder.communicate("x")[0].strip(), builders))
    assert len(set(answers)) == 1 and len(answers[0]) == 64 and {builder.returncode for builder in builders} == {0}
    left = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len([file for file in left if file.suffix == ".elf"]) == 1
    assert not [file for file in tmp_path.rglob("*") if file.name.startswith(".")]
