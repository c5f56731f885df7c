from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kwsq import InputError, audio, features, kws

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"


def tone(frequency, seconds=1.0, rate=16000, level=0.5):
    return level * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)


@pytest.fixture
def write(tmp_path):
    def write(samples, rate=16000, name="a.wav", subtype="PCM_16"):
        soundfile.write(tmp_path / name, samples, rate, subtype=subtype)
        return tmp_path / name
    return write


def corners():
    """Hz of the 22 corners of the bands."""
    return [700 * (10 ** (m / 2595) - 1) for m in np.linspace(*(2595 * np.log10(1 + f / 700) for f in (60, 7600)), 22)]


def test_a_tone_peaks_in_its_band_at_its_level():
    for band in (3, 10, 17):
        power = features.mel_power(tone(corners()[band + 1], level=1.0))[2:-2]
        assert (power.argmax(axis=1) == band).all()
        # a Hann window spreads the peak's power over 1.5 bins
        assert np.allclose(np.log10(power[:, band]), np.log10(1.5), atol=0.15)


def test_silence_is_the_neutral_image():
    """Nothing but the place code of step 5, at any level of nothing."""
    i, m = np.arange(20)[:, None], np.arange(20)
    neutral = np.round((0.5 * (i - 9.5) / 9.5 + (m - 9.5) / 9.5) * 20) + 20
    got = features.extract(np.zeros(16000))
    assert got.shape == (20, 20, 1) and got.dtype == np.int8
    np.testing.assert_array_equal(got[..., 0], neutral)
    np.testing.assert_array_equal(features.extract(np.full(16000, 1e-9)), got)


@pytest.mark.parametrize("samples", [np.zeros(15999), np.zeros((16000, 1)), np.full(16000, np.nan), np.full(16000, -np.inf)])
def test_other_shapes_and_nan_are_refused(samples):
    with pytest.raises(ValueError, match="expected \\(16000,\\)"):
        features.log_mel(samples)


def burst(at, level):
    """A second with 0.2 s of noise from sample `at` on."""
    samples = np.zeros(16000)
    samples[at:at + 3200] = level * np.random.default_rng(1).normal(size=3200)
    return samples


def test_neither_loudness_nor_a_place_in_the_second_matters():
    want = features.log_mel(burst(6400, 0.2))
    np.testing.assert_allclose(features.log_mel(burst(6400, 0.2) / 16), want, atol=1e-9)
    np.testing.assert_allclose(features.log_mel(burst(6400 - 10 * 160, 0.2)), want, atol=1e-9)
    assert abs(features.center(features.mel_power(burst(6400, 0.2))) - 50) <= 1


def written_out(samples):
    """The head of features.py, step by step, frame by frame, bin by bin and band by band: f of one second."""
    cos, pi = np.cos, np.pi
    padded = np.concatenate([np.zeros(512), samples, np.zeros(512)])
    n, k = np.arange(512), np.arange(257)
    h = 0.5 - 0.5 * cos(2 * pi * n / 512)
    transform = np.exp(-2j * pi * np.outer(k, n) / 512)
    at, E = corners(), np.zeros((100, 20))
    triangles = [[np.interp(i * 31.25, at[m:m + 3], [0, 1, 0]) for i in k] for m in range(20)]
    for t in range(100):
        P = (2 * np.abs(transform @ (padded[512 + 160 * t - 256:512 + 160 * t + 256] * h)) / h.sum()) ** 2
        for m in range(20):
            E[t, m] = sum(P[i] * triangles[m][i] for i in k)
    s = [sum((0.5 + 0.5 * cos(pi * j / 26)) * E[t + j].sum() for j in range(-25, 26) if 0 <= t + j < 100) for t in range(100)]
    c = s.index(max(s))
    A = np.zeros((20, 20))
    for i in range(20):
        p = c + 3 * (i - 9.5)
        A[i] = sum(max(0, 1 - abs(t - p) / 6) / 6 * E[t] for t in range(100))
    L = np.log10(A + max(1e-9, 1e-4 * A.max()))
    L = L - sum(L) / 20
    N = L / (0.1 + np.sqrt(sum(value**2 for value in L.ravel()) / 400))
    return np.array([[1.1 * N[i, m] * (1 + 0.5 * cos(pi * m / 19)) + 0.5 * (i - 9.5) / 9.5 + (m - 9.5) / 9.5 for m in range(20)]
                     for i in range(20)])


@pytest.mark.parametrize("peak", [2000, 8000, 15000])
def test_the_formula_written_out(peak):
    """Noise, loudest early, in the middle or late: the last two rows or the first ones lie outside the second."""
    samples = np.random.default_rng(peak).normal(0, 0.1, 16000) * np.exp(-((np.arange(16000) - peak) / 3000) ** 2)
    f = written_out(samples)
    np.testing.assert_allclose(features.log_mel(samples), f, rtol=0, atol=1e-9)
    q = np.array([max(-128, min(127, round(value * 20) + 20)) for value in f.ravel()]).reshape(20, 20, 1)
    np.testing.assert_array_equal(features.extract(samples), q)


@pytest.mark.parametrize("word", kws.LABELS)
def test_golden_features(word):
    """Another machine or another NumPy must give the same bytes (tests/fixtures/README.md says what made them)."""
    with np.load(FIXTURES / "features.npz") as golden:
        np.testing.assert_array_equal(features.load_input(word)[0], golden[word])


def test_the_words_are_shipped_and_differ():
    assert sorted(features.words()) == sorted(kws.LABELS)
    arrays = [features.load_input(word) for word in kws.LABELS]
    assert all(remarks == [] for _, remarks in arrays)
    assert len({array.tobytes() for array, _ in arrays}) == 10
    for word in kws.LABELS:
        info = soundfile.info(features.WORDS / f"{word}.wav")
        assert (info.samplerate, info.channels, info.frames, info.subtype) == (16000, 1, 16000, "PCM_16")
    np.testing.assert_array_equal(features.load_input("YES")[0], features.load_input("yes")[0])


def test_a_file_in_the_right_form_is_taken_as_it_is(write):
    samples = tone(440)
    got, remarks = audio.read_audio(write(samples))
    assert remarks == [] and np.abs(got - samples).max() < 2**-15
    assert features.load_input(write(samples))[0].shape == (20, 20, 1)


def test_conversions_are_made_and_named(write):
    stereo = np.stack([tone(440, 1, 44100), np.zeros(44100)], axis=1)
    got, remarks = audio.read_audio(write(stereo, 44100))
    assert remarks == ["a.wav: 2 channels mixed down to 1", "a.wav: 44100 Hz resampled to 16000 Hz"]
    assert got.shape == (16000,) and np.abs(got[100:-100] - tone(440)[100:-100] / 2).max() < 1e-3

    got, remarks = audio.read_audio(write(tone(440, 0.5)))
    assert remarks == ["a.wav: 0.50 s padded with silence to 1 s"]
    assert got.shape == (16000,) and not got[:4000].any() and not got[12000:].any() and got[4000:12000].any()

    long = np.concatenate([tone(440, 1.5, level=0.1), tone(440, 1), tone(440, 1, level=0.1)])
    got, remarks = audio.read_audio(write(long))
    assert remarks == ["a.wav: 3.50 s cut to its loudest second, from 1.50 s"]
    assert np.abs(got - tone(440)).max() < 1e-3

    path = write(tone(440), name="a.flac")
    assert features.load_input(str(path))[0].shape == (20, 20, 1)


def wav(data, declared=None, rate=16000, channels=1):
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, channels, rate, 2 * rate * channels,
                       2 * channels, 16, b"data", len(data) if declared is None else declared)
    return head + data


@pytest.mark.parametrize(("content", "message"), [
    (b"", "the file is empty"),
    (b"not a sound at all, but long enough to hold a header of some kind", "not a sound file"),
    (wav(bytes(32000))[:20000], "truncated, its data should have 32000 bytes, but 19956 are there"),
    (wav(bytes(32000))[:30], "truncated before its data"),
    (wav(b""), "holds no samples"),
    (wav(bytes(32000), channels=4), "has 4 channels"),
    (wav(bytes(32000), rate=1000), "has a rate of 1000 Hz"),
    (wav(bytes(2 * 4000 * 601), rate=4000), "longer than 600 s"),
])
def test_unusable_sounds_are_refused_by_name(tmp_path, content, message):
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as refused:
        features.load_input(path)
    assert str(path) in str(refused.value) and "\n" not in str(refused.value)


def test_a_wav_from_a_pipe_has_no_length(tmp_path):
    (tmp_path / "pipe.wav").write_bytes(wav(bytes(32000), declared=0xFFFFFFFF))
    assert audio.read_audio(tmp_path / "pipe.wav")[0].shape == (16000,)


def test_a_missing_file_a_folder_and_nan_are_refused(tmp_path, write):
    with pytest.raises(InputError, match="No such file"):
        features.load_input(tmp_path / "none.wav")
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(InputError, match="directory"):
        features.load_input(tmp_path / "folder.wav")
    for value in (np.nan, np.inf):
        with pytest.raises(InputError, match="NaN or infinite"):
            features.load_input(write(np.full(16000, value), subtype="FLOAT"))


def test_arrays(tmp_path):
    path = tmp_path / "a.npy"
    wanted = np.random.default_rng(0).integers(-128, 128, (20, 20)).astype(np.int8)
    for array in (wanted, wanted[..., None], np.asfortranarray(wanted)):
        np.save(path, array)
        got, remarks = features.load_input(str(path))
        assert remarks == [] and got.shape == (20, 20, 1) and got.flags.c_contiguous
        np.testing.assert_array_equal(got[..., 0], wanted)
    for array, message in ((wanted.astype(np.float32), "is float32 \\(20, 20\\), expected int8 \\(20, 20, 1\\)"),
                           (wanted[:19], "is int8 \\(19, 20\\)"), (np.array([{}]), "not a whole .npy")):
        np.save(path, array, allow_pickle=True)
        with pytest.raises(InputError, match=message):
            features.load_input(path)
    np.save(path, wanted)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="not a whole .npy"):
        features.load_input(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="not a whole .npy"):
        features.load_input(path)
    with pytest.raises(InputError, match="No such file"):
        features.load_input(tmp_path / "none.npy")
    with path.open("wb") as file:
        np.savez(file, a=wanted)
    with pytest.raises(InputError, match="an archive"):
        features.load_input(path)


def test_an_unknown_word_names_the_near_ones():
    with pytest.raises(InputError, match="no word 'rigth': did you mean right\\?"):
        features.load_input("rigth")
    with pytest.raises(InputError, match="there are down, go, left"):
        features.load_input("zzzz")
    with pytest.raises(InputError, match="No such file"):
        features.load_input("folder/yes")
