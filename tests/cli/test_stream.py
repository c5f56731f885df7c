"""python -m emu.run kws: several inputs, and --stream over a longer recording."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from matplotlib import image

from emu.build.cache import REPOSITORY
from kwsq import features, model
from kwsq.kws import LABELS
from tests.cli.conftest import called_in

KWS = ("emu.run", "kws")
SPOKEN = ("yes", "stop", "left")


@pytest.fixture(scope="module")
def listened(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """Three shipped words with silence between them: 5.2 s, words in the seconds from 0.5, 2.0 and 3.5."""
    root = tmp_path_factory.mktemp("stream")
    quiet = np.zeros(8000)
    parts = [part for word in SPOKEN for part in (quiet, soundfile.read(features.WORDS / f"{word}.wav")[0])]
    soundfile.write(root / "three.wav", np.concatenate([*parts, np.zeros(11200)]), 16000)
    done = called_in(REPOSITORY, *KWS, "--input", str(root / "three.wav"), "--stream", "--mhz", "80", "--json", str(root / "s.json"),
                  "--csv", str(root / "s.csv"), "--plot", str(root / "s.svg"))
    assert done.returncode == 0, done.stderr
    with (root / "s.csv").open() as file:
        return {"facts": json.loads((root / "s.json").read_text()), "rows": list(csv.DictReader(file)), "printed": done.stdout, "root": root}


def test_a_decision_every_100_ms_each_checked(listened: dict) -> None:
    facts = listened["facts"]
    assert facts["seconds"] == 5.2 and facts["step"] == 0.1
    assert [decision["time"] for decision in facts["decisions"]] == pytest.approx([1 + 0.1 * at for at in range(43)])
    assert facts["bit_exact"] == 43 and all(decision["bit_exact"] for decision in facts["decisions"]) and not facts["not_bit_exact"]
    assert "43 bit-exact in all layers" in listened["printed"]


def test_a_decision_is_what_a_single_clip_gets(listened: dict, run) -> None:
    single = json.loads(run(*KWS, "--input", "stop", "--json", "-").stdout)
    row = next(row for row in listened["rows"] if float(row["time"]) == 3.0)  # the second of the shipped file, exactly
    assert row["heard"] == single["answer"]["winner"]
    assert [float(row[label]) for label in LABELS] == pytest.approx(single["answer"]["probabilities"], abs=1e-6)
    assert listened["facts"]["cycles_per_decision"] == pytest.approx(single["totals"]["cycles"], rel=0.01)


def test_what_it_costs(listened: dict) -> None:
    facts = listened["facts"]
    assert facts["milliseconds_per_decision"] == pytest.approx(facts["cycles_per_decision"] / 80_000)
    assert facts["cpu_share"] == pytest.approx(facts["cycles_per_decision"] * 10 / 80e6)
    assert f"{facts['cpu_share']:.2%} of the CPU" in listened["printed"] and "front end runs on the host" in listened["printed"]


def test_rows_smooth_what_is_not_quiet(listened: dict) -> None:
    rows, rule = listened["rows"], listened["facts"]["rule"]
    heard = np.array([[0 if row["quiet"] == "true" else float(row[label]) for label in LABELS] for row in rows])
    for at, row in enumerate(rows):
        mean = heard[max(at - rule["smooth"] + 1, 0):at + 1].sum(axis=0) / rule["smooth"]
        assert [float(row[f"smoothed_{label}"]) for label in LABELS] == pytest.approx(mean, abs=2e-6)
    assert [row["detected"] for row in rows if row["detected"]] == [detection["word"] for detection in listened["facts"]["detections"]]


def test_words_are_detected_where_they_are(listened: dict) -> None:
    if not model.load()["int8"].trained:
        pytest.skip("the shipped weights are random")
    times = {detection["word"]: detection["time"] for detection in listened["facts"]["detections"]}
    right = [word for at, word in enumerate(SPOKEN) if word in times and 0.5 + 1.5 * at < times[word] < 2.5 + 1.5 * at]
    assert len(right) >= 2


def test_the_picture_and_no_clock(listened: dict, run) -> None:
    texts = (listened["root"] / "s.svg").read_text()
    assert all(f">{label}<" in texts for label in (*LABELS, "threshold"))
    done = run(*KWS, "--input", str(listened["root"] / "three.wav"), "--stream", "--threshold", "0.05", "--plot", str(listened["root"] / "s.png"))
    assert done.returncode == 0 and "cycles a decision" in done.stdout and "of the CPU" not in done.stdout
    assert "confidence" in done.stdout  # so low a threshold finds something in any network
    assert image.imread(listened["root"] / "s.png")[..., :3].std() > 0.05


def test_streams_that_cannot_be(one_line_error, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.wav", np.zeros(8000), 16000)
    np.save(tmp_path / "x.npy", np.zeros((20, 20, 1), np.int8))
    for status, message, arguments in (
        (3, "lasts 0.50 s", ("--input", str(tmp_path / "short.wav"), "--stream")),
        (3, "no recording", ("--input", str(tmp_path / "x.npy"), "--stream")),
        (3, "missing.wav", ("--input", str(tmp_path / "missing.wav"), "--stream")),
        (2, "did you mean yes", ("--input", "yess", "--stream")),
        (2, "one --input", ("--input", "yes", "--input", "no", "--stream")),
        (2, "belongs to --stream", ("--threshold", "0.5")),
    ):
        assert message in one_line_error(status, *KWS, *arguments)


def test_several_inputs_get_a_line_each(run, tmp_path: Path) -> None:
    done = run(*KWS, "--input", "go", "--input", "stop", "--json", str(tmp_path / "a.json"), "--csv", str(tmp_path / "a.csv"))
    facts = json.loads((tmp_path / "a.json").read_text())
    alone = [json.loads(run(*KWS, "--input", word, "--json", "-").stdout) for word in ("go", "stop")]
    assert facts["totals"] == alone[0]["totals"] and facts["answer"] == alone[0]["answer"]
    for entry, name, single in zip(facts["inputs"], ("go", "stop"), alone, strict=True):
        assert entry == {"name": name, "winner": single["answer"]["winner"], "confidence": single["answer"]["confidence"], "bit_exact": True,
                         "totals": single["totals"]}
        assert any(f" {name} " in line and f"{entry['confidence']:.1%}" in line and f"{entry['totals']['cycles']:,}" in line for line in done.stdout.splitlines())
        assert sum(single["answer"]["probabilities"]) == pytest.approx(1)
    with (tmp_path / "a.csv").open() as file:
        assert [row["input"] for row in csv.DictReader(file)] == ["go"] * 6 + ["stop"] * 6
