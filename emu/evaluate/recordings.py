"""A folder of recordings as Speech Commands lays it out: a folder a word, and in it SPEAKER_nohash_N.wav."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from emu.errors import InputError


class Recording(NamedTuple):
    """A sound file, and the word that its folder says is in it."""

    path: Path
    word: str

    @property
    def name(self) -> str:
        """WORD/FILE."""
        return f"{self.word}/{self.path.name}"

    @property
    def speaker(self) -> str:
        """What stands before _nohash_; "" when that is not in the name."""
        before, found, _ = self.path.name.partition("_nohash_")
        return before if found else ""


class Unknown(NamedTuple):
    """A folder that is called like no word, and how many sound files are in it."""

    name: str
    recordings: int


@dataclass(frozen=True)
class Folder:
    """Recordings, in the order of the words and by name; folders that are no word; how many recordings of words there are without a limit."""

    recordings: tuple[Recording, ...]
    unknown: tuple[Unknown, ...]
    available: int


def find(folder: Path, words: Sequence[str], suffixes: Sequence[str], limit: int | None = None) -> Folder:
    """What is in `folder`; with `limit`, that many recordings, evenly over the words and within a word over its files, always the same.

    Hidden files and files with other suffixes are no recordings. InputError when it is no folder, or holds no recording of a word.
    """
    folders = [path for path in _entries(folder) if path.is_dir()]
    files = {path.name: [file for file in _entries(path) if file.suffix.lower() in suffixes and not file.is_dir()] for path in folders}
    by_word = [[Recording(file, word) for file in files.get(word, [])] for word in words]
    available = sum(map(len, by_word))
    if not available:
        seen = f"; it has {', '.join(files)}" if files else ""
        raise InputError(f"{folder}: no recordings of words: folders named {' '.join(words)} with sound files in them are wanted{seen}")
    shares = _shares([len(recordings) for recordings in by_word], available if limit is None else limit)
    chosen = [recordings[number * len(recordings) // share] for recordings, share in zip(by_word, shares, strict=True) for number in range(share)]
    return Folder(tuple(chosen), tuple(Unknown(name, len(found)) for name, found in files.items() if name not in words), available)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror or error}") from None


def _shares(sizes: Sequence[int], limit: int) -> list[int]:
    """How many of each, `limit` in all: as even as sizes allow, the first ones one more when it does not divide."""
    shares = [0] * len(sizes)
    left = min(limit, sum(sizes))
    while left:
        open_ = [at for at, size in enumerate(sizes) if shares[at] < size]
        for at in open_[:left]:
            more = min(sizes[at] - shares[at], max(left // len(open_), 1))
            shares[at] += more
        left = min(limit, sum(sizes)) - sum(shares)
    return shares
