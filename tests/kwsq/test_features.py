from __future__ import annotations

import struct

import numpy as np
import pytest
import soundfile

from kwsq import InputError, audio, features, kws


def tone(frequency, seconds=1.0, rate=16000, level=0.5):
    return level * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)


@pytest.fixture
def write(tmp_path):
    def write(samples, rate=16000, name="a.wav", subtype="PCM_16"):
        soundfile.write(tmp_path / name, samples, rate, subtype=subtype)
        return tmp_path / name
    return write


def test_a_tone_peaks_in_its_band_at_its_level():
    for band in (3, 10, 17):
        mel = np.linspace(*(2595 * np.log10(1 + f / 700) for f in (60, 7600)), 22)[band + 1]
        bels = features.log_mel(tone(700 * (10 ** (mel / 2595) - 1), level=1.0))
        assert (bels[1:-1].argmax(axis=1) == band).all()
        # a Hann window spreads the peak's power over 1.5 bins
        assert np.allclose(bels[1:-1, band], 9 + np.log10(1.5), atol=0.15)


def test_frames_are_the_rows_and_silence_is_the_zero_point():
    samples = np.zeros(16000)
    samples[8000:8800] = tone(1000)[:800]
    q = features.extract(samples)
    assert q.shape == (20, 20, 1) and q.dtype == np.int8
    loud = np.flatnonzero((q != -128).any(axis=(1, 2)))
    assert loud.min() >= 9 and loud.max() <= 11 and 10 in loud
    assert (features.extract(np.zeros(16000)) == -128).all()
    for bad in (np.zeros(15999), np.full(16000, np.nan)):
        with pytest.raises(ValueError, match="expected \\(16000,\\)"):
            features.log_mel(bad)


def test_the_formula_written_out():
    """The head of features.py, frame by frame and bin by bin, for one frame of noise."""
    samples = np.random.default_rng(0).normal(0, 0.1, 16000)
    t, n = 7, np.arange(1024)
    frame = samples[800 * t - 112:800 * t + 912]
    h = 0.5 - 0.5 * np.cos(2 * np.pi * n / 1024)
    k = np.arange(513)
    power = (2 * np.abs(np.exp(-2j * np.pi * np.outer(k, n) / 1024) @ (frame * h)) / h.sum()) ** 2
    corners = [700 * (10 ** (m / 2595) - 1) for m in np.linspace(*(2595 * np.log10(1 + f / 700) for f in (60, 7600)), 22)]
    for band in range(20):
        energy = sum(power[i] * np.interp(i * 15.625, corners[band:band + 3], [0, 1, 0]) for i in k)
        assert features.log_mel(samples)[t, band] == pytest.approx(np.log10(max(energy, 1e-9) / 1e-9), rel=1e-9)


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
