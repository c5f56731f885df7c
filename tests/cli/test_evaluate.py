"""python -m emu.evaluate: a small folder end to end, and every way in which a folder can be wrong."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from matplotlib import image

from emu.build.cache import REPOSITORY, cache_dir
from kwsq import features
from kwsq.kws import LABELS
from tests.cli.conftest import run_in
from tests.cli.test_errors import WRONG, dense

EVALUATE = "emu.evaluate"


def folder_of(root: Path, clips: int = 2) -> Path:
    """A folder a word, and in it `clips` copies of the word that comes with the project."""
    for word in LABELS:
        (root / word).mkdir(parents=True)
        for number in range(clips):
            shutil.copy(features.WORDS / f"{word}.wav", root / word / f"espeak{number}_nohash_{number}.wav")
    return root


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """JSON, CSV, picture, and what was printed, of a pass over twenty clips."""
    root = tmp_path_factory.mktemp("evaluated")
    folder_of(root / "words")
    done = run_in(REPOSITORY, EVALUATE, str(root / "words"), "--json", str(root / "e.json"), "--csv", str(root / "e.csv"), "--plot", str(root / "e.png"))
    assert done.returncode == 0, done.stderr
    with (root / "e.csv").open() as file:
        return {"facts": json.loads((root / "e.json").read_text()), "rows": list(csv.DictReader(file)), "printed": done.stdout, "root": root}


def test_real_speech_is_bit_exact_and_heard(tmp_path: Path) -> None:
    """The machine code on recordings that the network was trained on: a floor, no measure of unheard speakers (docs/model.md has that)."""
    speech = REPOSITORY.parent / "shared" / "data" / "speech_commands"
    if not speech.is_dir():
        pytest.skip(f"no {speech}: recordings are only beside a developer's checkout")
    done = run_in(REPOSITORY, EVALUATE, str(speech), "--limit", "200", "--json", str(tmp_path / "e.json"))
    assert done.returncode == 0, done.stderr
    facts = json.loads((tmp_path / "e.json").read_text())
    assert facts["clips"] == facts["bit_exact"] == 200
    assert facts["accuracy"] > 0.8 and abs(facts["accuracy"] - facts["float_accuracy"]) < 0.03


def test_every_clip_is_run_and_checked(evaluated: dict) -> None:
    facts, rows = evaluated["facts"], evaluated["rows"]
    assert facts["clips"] == facts["planned"] == facts["available"] == facts["bit_exact"] == len(rows) == 20
    assert [row["word"] for row in rows] == [word for word in LABELS for _ in range(2)]
    assert {row["bit_exact"] for row in rows} == {"true"} and {row["difference"] for row in rows} == {""}
    assert rows[1]["file"] == "yes/espeak1_nohash_1.wav" and rows[1]["speaker"] == "espeak1"
    assert not facts["not_bit_exact"] and not facts["unreadable"] and not facts["unknown_folders"] and not facts["interrupted"]


def test_the_figures_follow_from_the_rows(evaluated: dict) -> None:
    facts, rows = evaluated["facts"], evaluated["rows"]
    assert facts["correct"] == sum(row["heard"] == row["word"] for row in rows) == sum(row["correct"] == "true" for row in rows)
    assert facts["accuracy"] == facts["correct"] / 20
    assert facts["float_accuracy"] == sum(row["float_heard"] == row["word"] for row in rows) / 20
    assert facts["agreement"] == sum(row["float_heard"] == row["heard"] for row in rows) / 20
    for at, word in enumerate(LABELS):
        own = [row for row in rows if row["word"] == word]
        assert facts["words"][word]["clips"] == len(own) == 2
        assert facts["words"][word]["correct"] == sum(row["heard"] == word for row in own) == facts["confusion"]["counts"][at][at]
        assert facts["confusion"]["counts"][at] == [sum(row["heard"] == heard for row in own) for heard in LABELS]
    for row in rows:
        assert row["heard"] == max(LABELS, key=lambda label, row=row: int(row[f"logit_{label}"]))
    assert facts["clips_per_second"] == pytest.approx(20 / facts["seconds"])


def test_a_clip_is_what_emu_run_hears(evaluated: dict, run) -> None:
    single = json.loads(run("emu.run", "kws", "--input", "stop", "--json", "-").stdout)
    row = next(row for row in evaluated["rows"] if row["word"] == "stop")
    assert [int(row[f"logit_{label}"]) for label in LABELS] == single["answer"]["logits"]
    assert row["heard"] == single["answer"]["winner"]
    assert evaluated["facts"]["cycles_per_inference"] == pytest.approx(single["totals"]["cycles"], rel=0.01)  # it hangs on data a little
    layers = sum(layer["cycles_per_inference"] for layer in evaluated["facts"]["layers"])
    assert layers == pytest.approx(evaluated["facts"]["cycles_per_inference"] - single["outside"]["cycles"])


def test_it_is_shown(evaluated: dict) -> None:
    facts, printed = evaluated["facts"], evaluated["printed"]
    for text in ("20 of 20", "20 bit-exact", f"{facts['accuracy']:.2%}", f"{facts['agreement']:.2%}", f"{facts['cycles_per_inference']:,.0f} modelled"):
        assert text in printed
    assert image.imread(evaluated["root"] / "e.png")[..., :3].std() > 0.1


def test_threads_do_not_change_it(evaluated: dict, run) -> None:
    texts = [run(EVALUATE, str(evaluated["root"] / "words"), "--csv", "-", "--jobs", jobs).stdout for jobs in ("1", "2")]
    assert texts[0] == texts[1] == (evaluated["root"] / "e.csv").read_text()


def test_other_kernel_sets(evaluated: dict, run) -> None:
    folder = str(evaluated["root"] / "words")
    portable, floating = (json.loads(run(EVALUATE, folder, "--kernels", kernels, "--json", "-").stdout) for kernels in ("c", "float"))
    assert portable["confusion"] == evaluated["facts"]["confusion"] and portable["bit_exact"] == 20
    assert floating["bit_exact"] is None and 0 <= floating["max_abs_error"] < 1e-3 and floating["agreement"] == 1


def test_limit_is_even_and_the_same_every_time(evaluated: dict, run) -> None:
    first, second = (run(EVALUATE, str(evaluated["root"] / "words"), "--limit", "13", "--csv", "-").stdout for _ in range(2))
    words = [row["word"] for row in csv.DictReader(first.splitlines())]
    assert first == second and len(words) == 13
    assert {words.count(word) for word in LABELS} == {1, 2}


def test_what_is_no_word_and_what_cannot_be_read_is_named(tmp_path: Path, run) -> None:
    folder = folder_of(tmp_path / "words", clips=1)
    (folder / "_noise_").mkdir()
    shutil.copy(features.WORDS / "yes.wav", folder / "_noise_" / "hum.wav")
    (folder / "README.md").write_text("not a folder")
    (folder / "go" / "broken_nohash_0.wav").write_bytes(b"RIFF")
    done = run(EVALUATE, str(folder), "--json", str(tmp_path / "e.json"))
    facts = json.loads((tmp_path / "e.json").read_text())
    assert done.returncode == 3
    assert done.stderr.splitlines() == ["error: 1 of 11 recordings cannot be read: go/broken_nohash_0.wav"]
    assert "_noise_" in done.stdout and "go/broken_nohash_0.wav" in done.stdout
    assert facts["clips"] == facts["bit_exact"] == 10
    assert facts["unknown_folders"] == [{"name": "_noise_", "recordings": 1}]
    assert [file["file"] for file in facts["unreadable"]] == ["go/broken_nohash_0.wav"]


def test_folders_that_cannot_be_used(tmp_path: Path, one_line_error) -> None:
    (tmp_path / "empty" / "yes").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    (tmp_path / "other" / "cat").mkdir(parents=True)
    (tmp_path / "broken" / "yes").mkdir(parents=True)
    (tmp_path / "broken" / "yes" / "a.wav").write_text("nothing")
    for name, message in (("empty", "no recordings of words"), ("missing", "No such file"), ("file", "Not a directory"),
                          ("other", "it has cat"), ("broken", "none of 1 recordings can be read")):
        line = one_line_error(3, EVALUATE, str(tmp_path / name))
        assert message in line and str(tmp_path / name) in line
    assert "Missing argument" in one_line_error(2, EVALUATE)
    assert "'thunb2'" in one_line_error(2, EVALUATE, str(folder_of(tmp_path / "words", 1)), "--kernels", "thunb2")


def test_a_clip_that_is_not_bit_exact_is_named(run, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "words", clips=1)
    done = run(EVALUATE, str(folder), "--kernels", dense(tmp_path / "mine", WRONG), "--json", str(tmp_path / "e.json"), "--limit", "3")
    facts = json.loads((tmp_path / "e.json").read_text())
    assert done.returncode == 1
    assert "error: 3 of 3 clips are not bit-exact; the first is yes/espeak0_nohash_0.wav: layer qdense_16x10 is not bit-exact: element (0,) is 77" in done.stderr
    assert facts["bit_exact"] == 0 and [clip["file"].split("/")[0] for clip in facts["not_bit_exact"]] == list(LABELS[:3])
    assert "NOT EXACT" in done.stdout


def test_a_fault_names_the_clip(tmp_path: Path, one_line_error) -> None:
    kernels = dense(tmp_path / "mine", "*(volatile int *)0x30000000 = 1;")
    line = one_line_error(5, EVALUATE, str(folder_of(tmp_path / "words", 1)), "--kernels", kernels)
    assert "yes/espeak0_nohash_0.wav: write of 4 bytes outside memory" in line


def test_ctrl_c_still_reports(tmp_path: Path) -> None:
    """In the middle of a batch: its clip is a pipe into which nobody writes."""
    folder = folder_of(tmp_path / "words", clips=40)
    pipe = folder / LABELS[1] / "a_nohash_0.wav"
    os.mkfifo(pipe)
    process = subprocess.Popen([sys.executable, "-m", EVALUATE, str(folder), "--jobs", "1"], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, env={**os.environ, "THUMBCYCLE_CACHE": str(cache_dir()), "NO_COLOR": "1"})
    try:
        writer = opened(pipe, process)
        process.send_signal(signal.SIGINT)
        os.close(writer)
        printed, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert errors.strip() == "interrupted"
    assert "of 401, interrupted" in printed and "bit-exact in all layers" in printed


def opened(pipe: Path, process: subprocess.Popen[str]) -> int:
    """A descriptor to write to the pipe, as soon as the process reads from it."""
    while True:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # there is no reader
            assert process.poll() is None
            time.sleep(0.01)


def test_help(run) -> None:
    text = run(EVALUATE, "--help").stdout
    for part in ("--jobs", "--limit", "Exit status", "not bit-exact", "interrupted"):
        assert part in text
