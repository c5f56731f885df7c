"""A folder of recordings as features, words and speakers, and splits of them in which no speaker is on both sides.

The layout is that of Speech Commands: a folder a word, and in it SPEAKER_nohash_N.wav. What no word of the network's is named
after, and what cannot be read, is skipped, named and counted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kwsq import features
from kwsq.audio import SUFFIXES, read_audio
from kwsq.errors import InputError
from kwsq.kws import LABELS


@dataclass(frozen=True)
class Listing:
    """The recordings of a folder: `paths`, of which number i says LABELS[labels[i]]; and the names of folders that are no word."""

    paths: tuple[Path, ...]
    labels: tuple[int, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Recordings that could be read.

    `sound` float32 (N, 16000) in [-1, 1], `labels` int64 (N,) into LABELS, `speakers` N names; `unknown`: folders that are no
    word; `unreadable`: one line a file that could not be used; `remarks`: one line a conversion.
    """

    paths: tuple[Path, ...]
    sound: np.ndarray
    labels: np.ndarray
    speakers: np.ndarray
    unknown: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    remarks: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.paths)

    def features(self) -> np.ndarray:
        """int8 (N, 20, 20, 1)."""
        return np.stack([features.extract(sound) for sound in self.sound])


def listing(folder: str | os.PathLike[str], limit: int | None = None) -> Listing:
    """What is in `folder`, words in the order of LABELS, files by name; with `limit`, that many, spread evenly over them all.

    InputError when it is no folder, or none of its folders is a word with a recording in it.
    """
    folder = Path(folder)
    try:
        names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror or error}") from None
    found = [(path, label) for label, word in enumerate(LABELS) if word in names for path in _recordings(folder / word)]
    if not found:
        raise InputError(f"{folder}: holds no recordings of words; expected folders {', '.join(LABELS)} with sound files in them")
    if limit is not None and limit < len(found):
        found = [found[i * len(found) // limit] for i in range(limit)]
    paths, labels = zip(*found, strict=True) if found else ((), ())
    return Listing(tuple(paths), tuple(labels), tuple(name for name in names if name not in LABELS))


def read(folder: str | os.PathLike[str], limit: int | None = None, progress: Callable[[int, int], None] | None = None) -> Dataset:
    """Every recording of `folder` that can be read; `progress` is told (files done, files in all).

    InputError as of `listing`, and when not one file can be read.
    """
    listed = listing(folder, limit)
    kept, sounds, unreadable, remarks = [], [], [], []
    for at, path in enumerate(listed.paths):
        try:
            samples, said = read_audio(path)
        except InputError as error:
            unreadable.append(str(error))
        else:
            kept.append(at)
            sounds.append(samples.astype(np.float32))
            remarks += said
        if progress:
            progress(at + 1, len(listed.paths))
    if not kept:
        raise InputError(f"{folder}: none of its {len(listed.paths)} recordings can be read; the first: {unreadable[0]}")
    return Dataset(tuple(listed.paths[at] for at in kept), np.stack(sounds), np.array([listed.labels[at] for at in kept]),
                   np.array([speaker(listed.paths[at]) for at in kept]), listed.unknown, tuple(unreadable), tuple(remarks))


def speaker(path: Path) -> str:
    """Who speaks: what stands before _nohash_ in the file's name; all of the name when that is not in it."""
    return path.stem.split("_nohash_")[0]


def speaker_folds(speakers: np.ndarray, folds: int, seed: int = 0) -> np.ndarray:
    """int64 (N,): the fold of every recording. A speaker is in one fold; folds have about as many recordings each.

    Speakers go, the one with most recordings first, ties in an order shuffled by the seed, into what is the smallest fold then.
    InputError for fewer speakers than folds.
    """
    names, inverse, counts = np.unique(speakers, return_inverse=True, return_counts=True)
    if len(names) < folds:
        raise InputError(f"{len(names)} speakers cannot be split into {folds} folds")
    order = np.random.RandomState(seed).permutation(len(names))
    of_speaker, sizes = np.empty(len(names), np.int64), np.zeros(folds, np.int64)
    for at in order[np.argsort(-counts[order], kind="stable")]:
        of_speaker[at] = sizes.argmin()
        sizes[of_speaker[at]] += counts[at]
    return of_speaker[inverse]


def _recordings(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))
