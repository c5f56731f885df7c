"""Folders in the layout of Speech Commands, of the ten words that come with the project."""

from __future__ import annotations

import shutil
from pathlib import Path

from kwsq import features, kws

ROOT = Path(__file__).resolve().parents[2]
SPOKEN = ROOT.parent / "shared" / "data" / "speech_commands"  # beside a developer's checkout


def word_folders(folder: Path, speakers: tuple[str, ...] = ("a",), words: tuple[str, ...] = kws.LABELS) -> Path:
    """WORD/SPEAKER_nohash_0.wav in `folder`, the shipped recording of the word each."""
    for word in words:
        (folder / word).mkdir(parents=True)
        for speaker in speakers:
            shutil.copy(features.WORDS / f"{word}.wav", folder / word / f"{speaker}_nohash_0.wav")
    return folder
