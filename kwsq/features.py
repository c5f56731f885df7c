"""The front end: the word in one second of sound as 20 frames of 20 normalized log-mel energies in int8, the input of the network.

1. Power. Frame t of 100 is the 512 samples (32 ms) around sample 160 t (10 ms apart; silence outside the second) times a periodic
   Hann window h. With X its discrete Fourier transform, bin k (31.25 Hz apart) has the power P[k] = (2 |X[k]| / sum h)^2: a sine
   at full scale peaks at 1. Band m of 20 is E[t, m] = sum over k of H[m, k] P[k], H triangles of height 1 whose corners are 22
   points equally spaced on the scale mel(f) = 2595 log10(1 + f / 700) (O'Shaughnessy 1987) from 60 Hz to 7600 Hz.
2. Where the word is. e[t] = sum over m of E[t, m]; s = e convolved with a Hann window of 51 frames, w[j] = 0.5 + 0.5 cos(pi j / 26)
   for |j| <= 25, so a short word has one best place, not a plateau; c is the first frame at which s is largest.
3. Frames. Row i of 20, 30 ms apart, 0.6 s in all, pools the 12 frames around p = c + 3 (i - 9.5) with a triangle of +-60 ms:
   A[i, m] = sum over t of max(0, 1 - |t - p| / 6) / 6 * E[t, m], E = 0 outside the second.
4. Contrast. The floor goes with the word: F = max(FLOOR, DEPTH max A), 40 dB below its peak; L = log10(A + F), in bels; each band's
   mean over the 20 rows is removed (a microphone's colour goes with it), and N = L / (SPREAD + r), r the root mean square of L
   over all 400 values (loudness of the noise and of the speaker go with it; silence is 0 everywhere).
5. Place. The network is the same everywhere in the image and averages over it at the end, so it could not tell a low band from a
   high one, nor early from late. Gain and offset say so:
       f[i, m] = GAIN N[i, m] (1 + 0.5 cos(pi m / 19)) + 0.5 (i - 9.5) / 9.5 + (m - 9.5) / 9.5
6. int8. q = clamp(round(f / SCALE) + ZERO_POINT, -128, 127)

All in float64 with numpy.fft, so machines differ at most where f / SCALE is within about 1e-12 of a tie (or two places of the word
are as good as each other within 1e-15). No constant is fitted to data but GAIN, one number, which makes the deviation of GAIN N 1.
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
HOP, WINDOW = 160, 512  # samples
STEPS = SAMPLES // HOP  # fine frames in the second
STRIDE, REACH = 3, 6  # fine frames from row to row, and that a row's triangle reaches to each side
SEARCH = 25  # fine frames to each side of the window that finds the word
LOWEST, HIGHEST = 60.0, 7600.0  # Hz
FLOOR, DEPTH = 1e-9, 1e-4  # power of a full-scale sine = 1; share of the word's peak
SPREAD, GAIN = 0.1, 1.1  # bels; steps of unit deviation
TILT, EARLY_LATE, LOW_HIGH = 0.5, 0.5, 1.0
SCALE, ZERO_POINT = 1 / 20, 20  # reaches -7.4 to 5.35
WORDS = Path(__file__).parent / "words"

# what a model was fitted to; kwsq.model compares
FRONT_END = {"version": 2, "rate": RATE, "frames": FRAMES, "bands": BANDS, "hop": HOP, "window": WINDOW, "stride": STRIDE,
             "reach": REACH, "search": SEARCH, "lowest": LOWEST, "highest": HIGHEST, "floor": FLOOR, "depth": DEPTH,
             "spread": SPREAD, "gain": GAIN, "tilt": TILT, "early_late": EARLY_LATE, "low_high": LOW_HIGH,
             "scale": SCALE, "zero_point": ZERO_POINT}


def log_mel(samples: np.ndarray) -> np.ndarray:
    """float64 (20 frames, 20 bands): f of the head of this module, of float (16000,) samples in [-1, 1] at 16 kHz.

    ValueError for another shape, NaN or infinity.
    """
    samples = np.asarray(samples, np.float64)
    if samples.shape != (SAMPLES,) or not np.isfinite(samples).all():
        raise ValueError(f"samples have the shape {samples.shape}, expected ({SAMPLES},), all finite")
    power = mel_power(samples)
    return place(contrast(pool(power, center(power))))


def extract(samples: np.ndarray) -> np.ndarray:
    """int8 (20, 20, 1): the quantized `log_mel` of float (16000,) samples."""
    return quantize_buffer(log_mel(samples), SCALE, ZERO_POINT, -128, 127)[..., None]


def mel_power(samples: np.ndarray) -> np.ndarray:
    """float64 (100, 20): E, of float64 (16000,) samples."""
    window = _window()
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(samples, WINDOW // 2), WINDOW)[:SAMPLES:HOP]
    spectrum = np.fft.rfft(frames * window)
    power = spectrum.real**2 + spectrum.imag**2
    return power @ (_triangles().T * (2 / window.sum()) ** 2)


def center(power: np.ndarray) -> int:
    """c, the fine frame in the middle of the word, of E (100, 20)."""
    weights = 0.5 + 0.5 * np.cos(np.pi * np.arange(-SEARCH, SEARCH + 1) / (SEARCH + 1))
    return int(np.argmax(np.convolve(power.sum(axis=1), weights, mode="same")))


def pool(power: np.ndarray, middle: int) -> np.ndarray:
    """A, float64 (20, 20), of E (100, 20) and c."""
    at = middle + STRIDE * (np.arange(FRAMES) - (FRAMES - 1) / 2)
    distance = np.abs(np.arange(STEPS) - at[:, None])
    return np.maximum(0, 1 - distance / REACH) / REACH @ power


def contrast(pooled: np.ndarray) -> np.ndarray:
    """N, float64 (20, 20), of A (20, 20)."""
    level = np.log10(pooled + max(FLOOR, DEPTH * pooled.max()))
    level = level - level.mean(axis=0)
    return level / (SPREAD + np.sqrt((level**2).mean()))


def place(normalized: np.ndarray) -> np.ndarray:
    """f, float64 (20, 20), of N (20, 20)."""
    along = (np.arange(20) - 9.5) / 9.5
    tilt = 1 + TILT * np.cos(np.pi * np.arange(BANDS) / (BANDS - 1))
    return GAIN * normalized * tilt + EARLY_LATE * along[:, None] + LOW_HIGH * along


@lru_cache(1)
def _window() -> np.ndarray:
    """float64 (512,) periodic Hann window."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)


@lru_cache(1)
def _triangles() -> np.ndarray:
    """float64 (20, 257): H of the head of this module."""
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
        raise InputError(f"{path}: is {what}, expected int8 {SHAPE} or {SHAPE[:2]}: frames x bands")
    return np.ascontiguousarray(array).reshape(SHAPE)
