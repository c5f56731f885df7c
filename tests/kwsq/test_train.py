from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from kwsq import dataset, features, float_reference, kws, model, reference, train
from kwsq.recipe import Recipe
from tests.kwsq.conftest import contents
from tests.kwsq.recordings import ROOT, word_folders


def run(*arguments):
    command = [sys.executable, "-m", "kwsq.train", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture
def no_torch(monkeypatch):
    """As in a Python that has none."""
    monkeypatch.setitem(sys.modules, "torch", None)


def test_help_needs_no_torch(no_torch):
    helped = CliRunner().invoke(train.main, ["--help"])
    assert helped.exit_code == 0 and "pip install .[train]" in helped.output and "Exit status" in helped.output


def test_without_torch_one_line_says_what_to_install(no_torch, tmp_path):
    done = CliRunner().invoke(train.main, [str(word_folders(tmp_path / "d")), "--out", str(tmp_path / "m.npz")])
    assert done.exit_code == 1 and "pip install .[train]" in done.output and len(done.output.splitlines()) == 1
    assert not (tmp_path / "m.npz").exists()


def test_nothing_is_written_that_was_not_asked_for(tmp_path):
    before = model.KWS.read_bytes()
    done = CliRunner().invoke(train.main, [str(word_folders(tmp_path))])
    assert done.exit_code == 2 and "'--out'" in done.output and model.KWS.read_bytes() == before


def test_copies_are_the_recording_and_altered_ones():
    sounds = np.stack([features.read_audio(features.WORDS / f"{word}.wav")[0] for word in ("yes", "go")])
    recipe = Recipe(copies=3)
    both = train.copies_of(sounds, 5, recipe)
    assert both.shape == (2, 3, 20, 20) and both.dtype == np.int8
    np.testing.assert_array_equal(both[:, 0], np.stack([features.load_input(word)[0][..., 0] for word in ("yes", "go")]))
    # a recording's copies do not depend on what it is dealt out with
    np.testing.assert_array_equal(train.copies_of(sounds[1:], 6, recipe)[0], both[1])
    assert (train.copies_of(sounds, 5, Recipe(copies=3, seed=1))[:, 1:] != both[:, 1:]).any()


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    return word_folders(tmp_path_factory.mktemp("words"), ("a", "b"))


class TestWithTorch:
    """Runs of seconds: they show that it learns, not how well."""

    @pytest.fixture(autouse=True)
    def _torch(self):
        pytest.importorskip("torch")

    def test_it_learns_ten_words_and_writes_a_model(self, words, tmp_path):
        done = run(words, "--out", tmp_path / "m.npz", "--epochs", 300, "--copies", 2, "--folds", 0, "--jobs", 1)
        assert done.returncode == 0, done.stderr
        assert "fitted to 20 recordings of 2 speakers, seed 0" in done.stdout and "| none held out | 20 |" in done.stdout
        assert "| epoch | training recordings |" in done.stdout
        shares = [float(share) for share in re.findall(r"([\d.]+) % of the training recordings", done.stderr)]
        assert len(shares) == 20 and shares[-1] > shares[0]
        networks = model.load(tmp_path / "m.npz")
        data = dataset.read(words)
        for network, run_network in ((networks["int8"], reference.run), (networks["float32"], float_reference.run)):
            assert network.trained
            heard = run_network(network, network.input_array(data.features()))[-1].argmax(axis=1)
            assert (heard == data.labels).mean() >= 0.5  # chance is 0.1

    def test_the_loss_goes_down_and_the_network_that_is_kept_is_the_one_fitted(self, words):
        import torch

        from kwsq import fit

        torch.set_num_threads(1)
        data = dataset.read(words)
        q, labels = torch.from_numpy(data.features()[:, None, :, :, 0]), torch.from_numpy(data.labels)
        losses = []

        def watch(_, network):
            losses.append(float(torch.nn.functional.cross_entropy(fit.answers(network, q[:, 0]), labels)))

        network = fit.descend(q, labels, Recipe(epochs=100), watch)
        assert len(losses) == 20 and losses[-1] < 0.9 * losses[0]
        kept = kws.float_network(network.weights(), trained=True)
        logits = float_reference.run(kept, kept.input_array(data.features()))[-1]
        np.testing.assert_allclose(logits, fit.answers(network, q[:, 0]).numpy(), atol=1e-4)

    def test_the_same_seed_gives_the_same_model(self, words, tmp_path):
        small = ("--epochs", 2, "--copies", 2, "--folds", 2)
        for name, more in (("a", ("--jobs", 1)), ("b", ("--jobs", 2)), ("c", ("--seed", 1))):
            done = run(words, "--out", tmp_path / f"{name}.npz", *small, *more)
            assert done.returncode == 0 and "| 2 | 10 |" in done.stdout, done.stderr
        a, b, c = (contents(tmp_path / f"{name}.npz") for name in "abc")
        assert a == b != c

    def test_what_cannot_be_used_is_named_and_wrong_folders_end_it_early(self, words, tmp_path):
        bad = word_folders(tmp_path / "d")
        (bad / "bed").mkdir()
        (bad / "go" / "x_nohash_0.wav").write_text("text")
        done = run(bad, "--out", tmp_path / "m.npz", "--epochs", 1, "--copies", 1, "--folds", 0)
        assert done.returncode == 1 and (tmp_path / "m.npz").exists()
        assert "skipped 1 folders that are no word of the network: bed" in done.stderr and "x_nohash_0.wav" in done.stderr
        for arguments, status, message in (((words, "--folds", 1), 2, "one fold leaves nobody"), ((words, "--folds", 3), 1, "2 speakers"),
                                           ((tmp_path / "none",), 1, "No such file"), ((tmp_path,), 1, "holds no recordings")):
            done = run(*arguments, "--out", tmp_path / "n.npz")
            assert done.returncode == status and message in done.stderr and "Traceback" not in done.stderr
        assert "cannot be written" in run(words, "--out", tmp_path / "no" / "m.npz").stderr
        assert not (tmp_path / "n.npz").exists()
