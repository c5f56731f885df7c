from __future__ import annotations

import numpy as np
import pytest

from kwsq import augment, features
from kwsq.audio import read_audio


def test_a_seed_makes_a_copy_and_another_seed_another():
    sound = read_audio(features.WORDS / "yes.wav")[0]
    copies = [augment.augment(sound, (0, 3, copy)) for copy in range(20)]
    for copy, made in enumerate(copies):
        np.testing.assert_array_equal(made, augment.augment(sound, (0, 3, copy)))
        assert made.shape == (16000,) and made.dtype == np.float64 and np.isfinite(made).all() and np.abs(made).max() < 2
    assert len({made.tobytes() for made in copies}) == 20
    assert (augment.augment(sound, (1, 3, 0)) != copies[0]).any() and (augment.augment(sound, (0, 4, 0)) != copies[0]).any()


def test_silence_stays_silence():
    for copy in range(20):
        assert not augment.augment(np.zeros(16000), (0, 0, copy)).any()


def test_noise_is_within_its_decibels():
    """What noise adds to a tone: nothing in about half of the copies, 8 to 35 dB below it in the others."""
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)
    below = []
    for copy in range(60):
        spectrum = np.abs(np.fft.rfft(augment.augment(tone, (0, 0, copy)))) ** 2
        away = spectrum[1500:].sum() / spectrum.sum()  # the tone ends at 1,200 Hz
        below.append(10 * np.log10(away))
    assert max(below) < -8 and min(below) < -35


@pytest.mark.parametrize("seed", range(3))
def test_coloured_noise_is_real_and_alive(seed):
    noise = augment.coloured_noise(np.random.default_rng(seed))
    assert noise.shape == (16000,) and np.isfinite(noise).all() and noise.std() > 0
