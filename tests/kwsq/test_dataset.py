from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kwsq import InputError, dataset, features, kws
from tests.kwsq.recordings import word_folders


def test_words_in_the_order_of_the_labels_and_files_by_name(tmp_path):
    data = dataset.read(word_folders(tmp_path, ("b", "a")))
    assert len(data) == 20 and data.labels.tolist() == [label for label in range(10) for _ in range(2)]
    assert data.speakers.tolist() == ["a", "b"] * 10
    assert [path.parent.name for path in data.paths[::2]] == list(kws.LABELS)
    assert data.sound.dtype == np.float32 and data.sound.shape == (20, 16000)
    assert (data.unknown, data.unreadable, data.remarks) == ((), (), ())
    np.testing.assert_array_equal(data.features()[::2], np.stack([features.load_input(word)[0] for word in kws.LABELS]))


def test_what_is_no_recording_of_a_word_is_named_and_counted(tmp_path):
    word_folders(tmp_path, words=("go", "yes"))
    for name in ("bed", "_background_noise_", ".hidden"):
        (tmp_path / name).mkdir()
    (tmp_path / "LICENSE").write_text("text")
    (tmp_path / "go" / "notes.txt").write_text("text")
    (tmp_path / "go" / ".go.wav").write_text("text")
    (tmp_path / "go" / "b_nohash_0.wav").write_bytes(b"")
    (tmp_path / "yes" / "c_nohash_1.wav").write_bytes((features.WORDS / "yes.wav").read_bytes()[:20000])
    told = []
    data = dataset.read(tmp_path, progress=lambda done, of: told.append((done, of)))
    assert data.unknown == ("_background_noise_", "bed")
    assert [kws.LABELS[label] for label in data.labels] == ["yes", "go"] and data.speakers.tolist() == ["a", "a"]
    truncated, empty = data.unreadable
    assert "c_nohash_1.wav: truncated" in truncated and "b_nohash_0.wav: the file is empty" in empty
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_folder_that_gives_nothing_is_refused_in_one_line(tmp_path):
    with pytest.raises(InputError, match="none: No such file"):
        dataset.read(tmp_path / "none")
    (tmp_path / "file").write_text("text")
    with pytest.raises(InputError, match="file: Not a directory"):
        dataset.read(tmp_path / "file")
    (tmp_path / "bed").mkdir()
    (tmp_path / "go").mkdir()
    with pytest.raises(InputError, match="holds no recordings of words; expected folders yes, no, up"):
        dataset.read(tmp_path)
    (tmp_path / "go" / "a.wav").write_text("no sound")
    with pytest.raises(InputError, match="none of its 1 recordings can be read; the first: .*a.wav") as refused:
        dataset.read(tmp_path)
    assert "\n" not in str(refused.value)


def test_limit_spreads_evenly_over_the_words(tmp_path):
    word_folders(tmp_path, tuple("abcd"))
    whole = dataset.listing(tmp_path)
    assert dataset.listing(tmp_path, 40) == dataset.listing(tmp_path, 1000) == whole
    assert dataset.listing(tmp_path, 10).labels == tuple(range(10))
    some = dataset.listing(tmp_path, 25)
    assert len(set(some.paths)) == 25 and set(some.labels) == set(range(10)) and set(some.paths) <= set(whole.paths)
    assert len(dataset.read(tmp_path, limit=3)) == 3


@pytest.mark.parametrize(("name", "who"), [("0ab3b47d_nohash_1.wav", "0ab3b47d"), ("mine.wav", "mine")])
def test_speaker(name, who):
    assert dataset.speaker(Path("yes") / name) == who


@pytest.mark.parametrize("folds", [2, 5])
def test_no_speaker_is_on_both_sides(folds):
    random = np.random.RandomState(0)
    speakers = np.repeat([f"s{i}" for i in range(40)], random.randint(1, 30, 40))[random.permutation(10**4) % 300]
    split = dataset.speaker_folds(speakers, folds)
    assert split.shape == speakers.shape and set(split) == set(range(folds))
    assert all(len(set(split[speakers == name])) == 1 for name in set(speakers))
    sizes = np.bincount(split)
    # the last to get a speaker was the smallest then, so two folds are never further apart than one speaker's recordings
    assert sizes.max() - sizes.min() <= np.unique(speakers, return_counts=True)[1].max()
    np.testing.assert_array_equal(split, dataset.speaker_folds(speakers, folds))
    assert (split != dataset.speaker_folds(speakers, folds, seed=1)).any()


def test_as_many_folds_as_speakers_and_no_more():
    speakers = np.array(["a", "b", "a", "c"])
    split = dataset.speaker_folds(speakers, 3)
    assert sorted(np.bincount(split)) == [1, 1, 2] and split[0] == split[2]
    with pytest.raises(InputError, match="3 speakers cannot be split into 4 folds"):
        dataset.speaker_folds(speakers, 4)
