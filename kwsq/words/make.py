"""Speak the ten words with espeak-ng into this folder: python -m kwsq.words.make (espeak-ng 1.51 made the shipped files)."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import soundfile

from kwsq.audio import RATE, read_audio
from kwsq.kws import LABELS

HERE = Path(__file__).parent

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for word in LABELS:
            spoken = Path(folder) / f"{word}.wav"
            subprocess.run(["espeak-ng", "-v", "en-us", "-s", "140", "-w", spoken, word], check=True)
            samples, remarks = read_audio(spoken)
            soundfile.write(HERE / f"{word}.wav", samples, RATE, subtype="PCM_16")
            print("; ".join(remarks))
