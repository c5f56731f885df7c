"""Other recordings of the same word: one second of sound, spoken faster or slower, through another microphone, in noise."""

from __future__ import annotations

import numpy as np

from kwsq.audio import SAMPLES

SPEED = 0.26  # octaves to each side: tempo and pitch together, 0.84 to 1.20
SHIFT = 1200  # samples to each side
COLOUR, COLOURED = 0.5, 0.6  # y[n] = x[n] + g x[n - 1], |g| up to COLOUR; share of copies that have it
NOISY, QUIETEST, LOUDEST = 0.5, 35.0, 8.0  # share of copies with noise; dB of speech over noise


def augment(samples: np.ndarray, seed: tuple[int, ...]) -> np.ndarray:
    """float64 (16000,) in about [-1, 1], made of float64 (16000,) samples; the same for the same seed.

    Resampled by linear interpolation to another speed, moved, perhaps coloured by one zero, and perhaps in noise whose
    power falls as 1 / f^a, 0 <= a <= 2.4. Loudness is left alone: the front end takes it out.
    """
    random = np.random.default_rng(seed)
    sound = _coloured(_moved(_at_speed(samples, 2 ** random.uniform(-SPEED, SPEED)), random), random)
    if random.random() >= NOISY:
        return sound
    noise = coloured_noise(random)
    ratio = 10 ** (-random.uniform(LOUDEST, QUIETEST) / 20)
    return sound + noise * ratio * np.sqrt((sound**2).mean() / (noise**2).mean())


def coloured_noise(random: np.random.Generator) -> np.ndarray:
    """float64 (16000,) noise of a random colour from white to below brown, at no particular loudness."""
    spectrum = np.fft.rfft(random.standard_normal(SAMPLES))
    return np.fft.irfft(spectrum * (np.arange(len(spectrum)) + 20.0) ** -random.uniform(0, 1.2), SAMPLES)


def _at_speed(samples: np.ndarray, speed: float) -> np.ndarray:
    """float64 (16000 / speed,)."""
    return np.interp(np.arange(int(SAMPLES / speed)) * speed, np.arange(SAMPLES), samples)


def _moved(sound: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """float64 (16000,): the middle of `sound`, or all of it in silence, SHIFT samples to either side at most."""
    start = int((SAMPLES - len(sound)) / 2 + random.uniform(-SHIFT, SHIFT))
    second = np.zeros(SAMPLES)
    first, last = max(0, start), min(SAMPLES, start + len(sound))
    second[first:last] = sound[first - start:last - start]
    return second


def _coloured(sound: np.ndarray, random: np.random.Generator) -> np.ndarray:
    if random.random() < COLOURED:
        sound = sound + random.uniform(-COLOUR, COLOUR) * np.concatenate([[0.0], sound[:-1]])
    return sound
