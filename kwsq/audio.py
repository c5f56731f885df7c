"""Sound files as 16 kHz mono, one second or whole, with a line for every conversion that this took."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np

from kwsq.errors import InputError

RATE = 16000  # Hz
SAMPLES = RATE  # one second
SUFFIXES = (".wav", ".flac", ".ogg", ".aiff", ".aif", ".au")

_LOWEST_RATE, _HIGHEST_RATE = 4000, 384000  # Hz
_LONGEST = 600  # seconds
_LOUDEST = 1e6  # times full scale: a float file may exceed 1, but this is no sound


def read_audio(path: str | os.PathLike[str]) -> tuple[np.ndarray, list[str]]:
    """(float64 (16000,) in [-1, 1], what was converted, one line each) of a sound file.

    Stereo is mixed down, another rate resampled (soxr, HQ), a shorter sound padded with silence on both sides, a longer one cut
    to its loudest second. InputError, naming the file, for one that is missing, empty, truncated, no sound, holds NaN or
    infinity, has more than two channels, a rate outside 4 to 384 kHz or more than ten minutes.
    """
    mono, remarks = read_recording(path)
    second, remark = _one_second(mono)
    return second, remarks + ([f"{Path(path).name}: {remark}"] if remark else [])


def read_recording(path: str | os.PathLike[str]) -> tuple[np.ndarray, list[str]]:
    """(float64 (samples,) in [-1, 1] at 16 kHz, what was converted) of a sound file, as long as it is; else as `read_audio`."""
    path = Path(path)
    sound, rate = _decode(path)
    remarks = []
    if sound.shape[1] == 2:
        remarks.append(f"{path.name}: 2 channels mixed down to 1")
    mono = sound.mean(axis=1)
    if rate != RATE:
        import soxr

        mono = soxr.resample(mono, rate, RATE, quality="HQ")
        remarks.append(f"{path.name}: {rate} Hz resampled to {RATE} Hz")
    return mono, remarks


def _decode(path: Path) -> tuple[np.ndarray, int]:
    """float64 (samples, 1 or 2) as the file has it, and its rate."""
    import soundfile

    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise InputError(f"{path}: the file is empty")
            _check_wav_is_whole(path, file)
        with soundfile.SoundFile(path) as file:
            _check_format(path, file.channels, file.samplerate, file.frames)
            sound = file.read(dtype="float64", always_2d=True)
            rate, frames = file.samplerate, file.frames
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except InputError:
        raise
    except (soundfile.SoundFileError, ValueError):  # ValueError: a codec that cannot say its length, GSM 6.10
        raise InputError(f"{path}: not a sound file that libsndfile can read") from None
    if len(sound) == 0:
        raise InputError(f"{path}: holds no samples")
    if len(sound) < frames:
        raise InputError(f"{path}: truncated after {len(sound)} of {frames} samples")
    if not np.isfinite(sound).all():
        raise InputError(f"{path}: holds NaN or infinite samples")
    if np.abs(sound).max() > _LOUDEST:
        raise InputError(f"{path}: its samples reach {np.abs(sound).max():.3g}, expected at most 1 (full scale)")
    return sound, rate


def _check_format(path: Path, channels: int, rate: int, frames: int) -> None:
    if channels > 2:
        raise InputError(f"{path}: has {channels} channels, expected mono or stereo")
    if not _LOWEST_RATE <= rate <= _HIGHEST_RATE:
        raise InputError(f"{path}: has a rate of {rate} Hz, expected {_LOWEST_RATE} to {_HIGHEST_RATE} Hz")
    if frames > _LONGEST * rate:
        raise InputError(f"{path}: is longer than {_LONGEST} s")


def _check_wav_is_whole(path: Path, file: BinaryIO) -> None:
    """libsndfile reads what is left of a truncated WAV without a word, so its data chunk is measured here."""
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    if file.read(4) != b"RIFF":
        return
    at = 12
    while at + 8 <= size:
        file.seek(at)
        name, length = struct.unpack("<4sI", file.read(8))
        if name == b"data":
            # writers to a pipe leave 0 or 2^32 - 1 where they could not know the length
            if length < 0xFFFFFF00 and at + 8 + length > size:
                raise InputError(f"{path}: truncated, its data should have {length} bytes, but {size - at - 8} are there")
            return
        at += 8 + length + length % 2
    raise InputError(f"{path}: truncated before its data, or not a WAV file")


def _one_second(mono: np.ndarray) -> tuple[np.ndarray, str | None]:
    """Exactly SAMPLES samples of `mono`, and what was done to it."""
    if len(mono) < SAMPLES:
        before = (SAMPLES - len(mono)) // 2
        padded = np.pad(mono, (before, SAMPLES - len(mono) - before))
        return padded, f"{len(mono) / RATE:.2f} s padded with silence to 1 s"
    if len(mono) == SAMPLES:
        return mono, None
    energy = np.concatenate([[0.0], np.cumsum(mono * mono)])
    start = int(np.argmax(energy[SAMPLES:] - energy[:-SAMPLES]))
    return mono[start:start + SAMPLES], f"{len(mono) / RATE:.2f} s cut to its loudest second, from {start / RATE:.2f} s"
