"""A sweep's results: one Parquet file, and beside it, while a sweep runs or after it was killed, a journal of the rows that are not in it yet.

The journal is lines of JSON, written as points end. Who writes it holds a lock on it. When a sweep ends, or Ctrl-C ends it, the journal's
rows are put into the Parquet file, which is written whole or not at all, and the journal goes. After a kill or on a full disk it stays, and
the next sweep goes on from it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from emu import __version__, files, parquet
from emu.errors import InputError
from emu.experiment.sweep.columns import TYPES
from emu.experiment.sweep.identity import SCHEMA

Row = dict[str, Any]
_MARK = "thumbcycle.sweep"  # in the Parquet file's metadata, and at the head of each journal
_KEPT = "what was done is kept in {}: start the same command again to go on"


def load(path: str | Path) -> list[Row]:
    """The rows of a results file. InputError for one that is none, or of another schema."""
    rows, about = parquet.read(path)
    _check_schema(Path(path), about.get(f"{_MARK}.schema"), about.get(f"{_MARK}.version", "another version"))
    if rows and (missing := TYPES.keys() - rows[0].keys()):
        raise InputError(f"{path}: no column {min(missing)}, which results of a sweep have: name another file")
    return rows


class Store:
    """Results at `path`, for one sweep at a time. rows: by point."""

    def __init__(self, path: Path, fresh: bool = False) -> None:
        """fresh: without what is there. InputError when it cannot be used, or another sweep writes it."""
        self.path, self.journal = path, path.with_name(f"{path.name}.journal")
        self._file = self._locked()
        try:
            self.rows: dict[str, Row] = {}
            if fresh:
                os.ftruncate(self._file, 0)
            elif path.exists():
                self.rows = {row["point"]: row for row in load(path)}
            self._loaded = dict(self.rows)
            self._add(self._journalled())
            self._append({_MARK: SCHEMA, "version": __version__, "pid": os.getpid(), "host": socket.gethostname()})
        except BaseException:
            os.close(self._file)
            raise

    def add(self, rows: Iterable[Row]) -> None:
        """Keep rows; each replaces the one of the same point. InputError when they cannot be written."""
        rows = list(rows)
        for row in rows:
            self._append({"row": row})
        self._add(rows)

    def close(self, order: Sequence[str] = ()) -> None:
        """Write the Parquet file: points of `order` first, then those that only the file had; and let others in. InputError."""
        try:
            if self.rows != self._loaded or not self.path.exists():
                places = {point: number for number, point in enumerate(order)}
                rows = sorted(self.rows.values(), key=lambda row: places.get(row["point"], len(places)))
                about = {f"{_MARK}.schema": str(SCHEMA), f"{_MARK}.version": __version__}
                try:
                    files.write_atomically(self.path, parquet.table_bytes(TYPES, rows, about))
                except OSError as error:
                    raise InputError(f"cannot write {self.path}: {error.strerror}; {_KEPT.format(self.journal)}") from None
            self.journal.unlink(missing_ok=True)
        finally:
            os.close(self._file)

    def _add(self, rows: Iterable[Row]) -> None:
        self.rows |= {row["point"]: row for row in rows}

    # --- the journal ---

    def _locked(self) -> int:
        """The journal, opened and locked."""
        while True:
            try:
                file = os.open(self.journal, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            except OSError as error:
                raise InputError(f"cannot write {self.journal}: {error.strerror}") from None
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                who = self._writer(file)
                os.close(file)
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise InputError(f"cannot lock {self.journal}: {error.strerror}") from None
                raise InputError(f"{self.path} is being written by another sweep{who}: wait for its end, or name another --out") from None
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file), os.stat(self.journal)):
                    return file
            os.close(file)  # its sweep ended, and took it away, in between

    def _writer(self, file: int) -> str:
        """In words, of a journal's last head."""
        with contextlib.suppress(OSError, InputError):
            heads = [entry for entry in self._entries(_content(file)) if _MARK in entry]
            if heads:
                return f" (process {heads[-1]['pid']} on {heads[-1]['host']})"
        return ""

    def _journalled(self) -> list[Row]:
        """Rows that a sweep left which did not come to its end; half a line at the end is cut off."""
        content = _content(self._file)
        whole = content[:content.rfind(b"\n") + 1]
        if whole != content:
            os.ftruncate(self._file, len(whole))
        entries = self._entries(whole)
        for entry in entries:
            if _MARK in entry:
                _check_schema(self.journal, str(entry[_MARK]), entry.get("version", "another version"))
        return [entry["row"] for entry in entries if "row" in entry]

    def _entries(self, content: bytes) -> list[dict[str, Any]]:
        found = []
        for number, line in enumerate(content.splitlines(), 1):
            try:
                entry = json.loads(line)
            except ValueError:
                entry = None
            if not isinstance(entry, dict) or not (_MARK in entry or isinstance(entry.get("row"), dict)):
                raise InputError(f"{self.journal}: line {number} is no line of a sweep's journal; take the file away to begin without it")
            found.append(entry)
        return found

    def _append(self, entry: dict[str, Any]) -> None:
        """A whole line or nothing."""
        end = os.fstat(self._file).st_size
        line = json.dumps(entry).encode() + b"\n"
        try:
            written = os.write(self._file, line)
            if written < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, end)
            raise InputError(f"cannot write {self.journal}: {error.strerror}; {_KEPT.format(self.journal)}") from None


def _content(file: int) -> bytes:
    with open(file, "rb", closefd=False) as stream:
        stream.seek(0)
        return stream.read()


def _check_schema(path: Path, schema: str | None, written_by: str) -> None:
    if schema is None:
        raise InputError(f"{path}: no results of a sweep; name another --out")
    if schema != str(SCHEMA):
        raise InputError(f"{path}: results of thumbcycle {written_by}, schema {schema}; this is {__version__}, schema {SCHEMA}: name another "
                         "--out, or --fresh replaces it")
