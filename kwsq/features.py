"""The front end: one second of sound as 20 frames of 20 log-mel energies in int8, the input of the network.

Frame t of 20 is the 1024 samples (64 ms) around the middle of samples 800 t .. 800 (t + 1), silence outside the second, times a
Hann window h. With X its discrete Fourier transform, the power of bin k (15.625 Hz apart) is P[k] = (2 |X[k]| / sum h)^2, so a
sine at full scale has a peak of 1. Band m of 20 is E[m] = sum over k of H[m, k] P[k], H triangles of height 1 whose corners are
22 points equally spaced on the mel scale mel(f) = 2595 log10(1 + f / 700) (O'Shaughnessy 1987) from 60 Hz to 7600 Hz. Then

    f = log10(max(E, FLOOR) / FLOOR)        bels above a floor of 1e-9, so that silence is 0
    q = clamp(round(f / SCALE) + ZERO_POINT, -128, 127)        with ZERO_POINT = -128

All in float64 with numpy.fft, so machines differ at most where f / SCALE is within about 1e-12 of a tie.
"""

from __future__ import annotations

import difflib
import os
from functools import lru_cache
from pathlib import Path

import numpy as np

from kwsq.audio import RATE, SAMPLES, SUFFIXES, read_audio
from kwsq.errors import InputError, UnknownWord
from kwsq.quantize import quantize_buffer

FRAMES, BANDS = 20, 20
SHAPE = (FRAMES, BANDS, 1)  # time, frequency, channel
HOP, WINDOW = SAMPLES // FRAMES, 1024  # samples
LOWEST, HIGHEST = 60.0, 7600.0  # Hz
FLOOR = 1e-9  # power of a full-scale sine = 1
SCALE, ZERO_POINT = 1 / 32, -128  # bels; 255 steps reach 7.97 bels
WORDS = Path(__file__).parent / "words"

# what a model was fitted to; kwsq.model compares
FRONT_END = {"rate": RATE, "frames": FRAMES, "bands": BANDS, "hop": HOP, "window": WINDOW, "lowest": LOWEST, "highest": HIGHEST,
             "floor": FLOOR, "scale": SCALE, "zero_point": ZERO_POINT}


def log_mel(samples: np.ndarray) -> np.ndarray:
    """float64 (20 frames, 20 bands) in bels above FLOOR, of float (16000,) samples in [-1, 1] at 16 kHz. ValueError otherwise."""
    samples = np.asarray(samples, np.float64)
    if samples.shape != (SAMPLES,) or not np.isfinite(samples).all():
        raise ValueError(f"samples have the shape {samples.shape}, expected ({SAMPLES},), all finite")
    window, triangles = _window(), _triangles()
    padded = np.pad(samples, (WINDOW - HOP) // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    power = (2 * np.abs(np.fft.rfft(frames * window)) / window.sum()) ** 2
    return np.log10(np.maximum(power @ triangles.T, FLOOR) / FLOOR)


def extract(samples: np.ndarray) -> np.ndarray:
    """int8 (20, 20, 1): the quantized `log_mel` of float (16000,) samples."""
    return quantize_buffer(log_mel(samples), SCALE, ZERO_POINT, -128, 127)[..., None]


@lru_cache(1)
def _window() -> np.ndarray:
    """float64 (1024,) periodic Hann window."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)


@lru_cache(1)
def _triangles() -> np.ndarray:
    """float64 (20, 513): H of the head of this module."""
    lowest, highest = (2595 * np.log10(1 + f / 700) for f in (LOWEST, HIGHEST))
    corners = 700 * (10 ** (np.linspace(lowest, highest, BANDS + 2) / 2595) - 1)
    bins = np.arange(WINDOW // 2 + 1) * RATE / WINDOW
    left, middle, right = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    return np.maximum(0, np.minimum((bins - left) / (middle - left), (right - bins) / (right - middle)))


def words() -> list[str]:
    """The words that come with the project."""
    return sorted(path.stem for path in WORDS.glob("*.wav"))


def load_input(spec: str | os.PathLike[str]) -> tuple[np.ndarray, list[str]]:
    """(int8 (20, 20, 1), conversions made, one line each) of a sound file, an array FILE.npy, or a word that is shipped.

    InputError for a file that cannot be used, an array that is not int8 of (20, 20, 1) or (20, 20), and an unknown word.
    """
    path = Path(spec)
    if path.suffix.lower() == ".npy":
        return _load_array(path), []
    if path.suffix.lower() in SUFFIXES or len(path.parts) > 1:
        samples, remarks = read_audio(path)
        return extract(samples), remarks
    known = words()
    if str(spec).lower() not in known:
        near = difflib.get_close_matches(str(spec).lower(), known, cutoff=0.5)
        meant = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
        raise UnknownWord(f"no word {str(spec)!r}: {meant} (or give a FILE.wav or FILE.npy)")
    return extract(read_audio(WORDS / f"{str(spec).lower()}.wav")[0]), []


def _load_array(path: Path) -> np.ndarray:
    try:
        with path.open("rb") as file:
            array = np.load(file, allow_pickle=False)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except (ValueError, EOFError, SyntaxError, MemoryError):
        raise InputError(f"{path}: not a whole .npy array of plain numbers") from None
    if not isinstance(array, np.ndarray) or array.dtype != np.int8 or array.shape not in (SHAPE, SHAPE[:2]):
        what = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else "an archive of arrays"
        raise InputError(f"{path}: is {what}, expected int8 {SHAPE} or {SHAPE[:2]}: log-mel frames x bands")
    return np.ascontiguousarray(array).reshape(SHAPE)
