"""python -m emu.run kws: the table, and every form in which the figures come."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image

from emu.build.cache import REPOSITORY
from kwsq import calibrate, features, model
from tests.cli.conftest import called_in, run_in

LAYERS = ["qconv2d_3x3_8", "qmaxpool2d_2x2", "qdwconv2d_3x3", "qpwconv2d_8x16", "qglobal_avgpool2d", "qdense_16x10"]
ADDED = ("instructions", "skipped", "cycles", "macs", "loads", "stores", "bytes_read", "bytes_written", "fetch_bytes", "weight_bytes",
         "activation_bytes")
SETS = ("thumb2", "c", "float")


@pytest.fixture(scope="module", params=SETS)
def measured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict:
    file = tmp_path_factory.mktemp("json") / "run.json"
    done = called_in(REPOSITORY, "emu.run", "kws", "--kernels", request.param, "--json", str(file), "--mhz", "80")
    assert done.returncode == 0, done.stderr
    return json.loads(file.read_text()) | {"printed": done.stdout}


def test_json_has_all_that_was_measured(measured: dict) -> None:
    prefix = "" if measured["kernels"] == "float" else "q"
    assert measured["schema"] == 1
    assert [layer["name"] for layer in measured["layers"]] == [prefix + name.removeprefix("q") for name in LAYERS]
    assert [layer["macs"] for layer in measured["layers"]] == [23328, 0, 3528, 6272, 0, 160]
    for row in (*measured["layers"], measured["outside"], measured["totals"]):
        assert {*ADDED, "name", "kernel", "traffic", "stack_bytes", "bit_exact"} <= row.keys()
        assert row["loads"] == sum(part["reads"] for part in row["traffic"].values())
        assert row["stores"] == sum(part["writes"] for part in row["traffic"].values())
        assert row["bytes_read"] + row["bytes_written"] == sum(part["bytes"] for part in row["traffic"].values())
        assert row["milliseconds"] == pytest.approx(row["cycles"] / 80_000)
        # one instruction a cycle at best; only an IT may fold to none, which saves less than a row's loads and taken branches cost
        assert 0 <= row["skipped"] < row["instructions"] < row["cycles"]
    assert len(measured["image"]["sha256"]) == 64
    assert "gcc" in measured["toolchain"]["version"]
    assert measured["answer"]["winner"] in measured["answer"]["labels"]


def test_rows_add_up_to_the_total(measured: dict) -> None:
    for key in ADDED:
        assert measured["totals"][key] == sum(row[key] for row in (*measured["layers"], measured["outside"])), key
    for part, traffic in measured["totals"]["traffic"].items():
        rows = [row["traffic"].get(part) for row in (*measured["layers"], measured["outside"])]
        assert traffic["bytes"] == sum(row["bytes"] for row in rows if row)
    assert measured["totals"]["stack_bytes"] >= max(row["stack_bytes"] for row in measured["layers"])


def test_outputs_are_checked(measured: dict) -> None:
    for layer in measured["layers"]:
        if measured["kernels"] == "float":
            assert layer["bit_exact"] is None and 0 <= layer["max_abs_error"] < 1e-3
        else:
            assert layer["bit_exact"] is True and layer["max_abs_error"] is None


def test_every_output_byte_is_written_once_or_more(measured: dict) -> None:
    for layer in measured["layers"]:
        assert layer["traffic"]["output"]["bytes_written"] >= layer["activation_bytes"]


def test_the_table_shows_the_same_figures(measured: dict) -> None:
    for row in (*measured["layers"], measured["totals"]):
        line = next(line for line in measured["printed"].splitlines() if f"│ {row['name']} " in line)
        for key in ("instructions", "cycles", "loads", "stores"):
            assert f" {row[key]:,} " in line
    for other in set(SETS) - {measured["kernels"]}:
        assert f"{measured['beside'][other]['cycles']:,} cycles" in measured["printed"]
    assert measured["toolchain"]["version"] in measured["printed"]
    assert "untrained" not in measured["printed"] and measured["answer"]["trained"] is True


def test_an_untrained_model_says_so(copy: Path) -> None:
    model.save(copy / "kwsq" / "models" / "kws.npz", calibrate.untrained_model())
    done = run_in(copy, "emu.run", "kws", "--json", "run.json")
    assert done.returncode == 0 and "(untrained: the weights are random, so the word means nothing)" in done.stdout
    assert json.loads((copy / "run.json").read_text())["answer"]["trained"] is False


def test_the_assembly_is_at_least_twice_as_fast_as_c(run) -> None:
    facts = json.loads(run("emu.run", "kws", "--json", "-").stdout)
    for key in ("instructions", "cycles"):
        assert 2 * facts["totals"][key] < facts["beside"]["c"][key]


@pytest.fixture(scope="module")
def side_by_side(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("cores")
    done = called_in(REPOSITORY, "emu.run", "kws", "--core", "all", "--json", str(folder / "run.json"), "--csv", str(folder / "run.csv"),
                  "--plot", str(folder / "run.svg"))
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "run.json").read_text()) | {"printed": done.stdout, "folder": folder}


CORES = ("cortex-m4", "cortex-m0plus", "cortex-m3", "cortex-m7", "cortex-m33")


def test_all_cores_side_by_side(side_by_side: dict) -> None:
    """From the M4's run where they can execute it, from an image of their own where they cannot; the M4's figures are as without the others."""
    cores, facts = side_by_side["cores"], side_by_side
    assert tuple(cores) == CORES and facts["core"] == "cortex-m4" and facts["memory"] == "zero-wait"
    assert [name for name in cores if cores[name]["same_run"]] == ["cortex-m4", "cortex-m7", "cortex-m33"]
    assert cores["cortex-m4"]["cycles"] == facts["totals"]["cycles"]
    assert [layer["cycles"] for layer in cores["cortex-m4"]["layers"]] == [layer["cycles"] for layer in facts["layers"]]
    for name, core in cores.items():
        assert [layer["name"] for layer in core["layers"]] == LAYERS and core["bit_exact"] is True
        assert core["cycles"] == core["outside"] + sum(layer["cycles"] for layer in core["layers"])
        if core["same_run"]:
            assert core["image"] == facts["image"] and core["instructions"] == facts["totals"]["instructions"] and core["kernels"] == "thumb2"
        else:
            assert core["image"] != facts["image"] and core["kernels"] == "m0" and f"-mcpu={name}" in core["flags"]
            assert f"{name} lacks" in core["reason"] and "SMLAD" in core["reason"]
    assert len({core["cycles"] for core in cores.values()}) == len(CORES)


def test_all_cores_in_the_table_the_csv_and_the_picture(side_by_side: dict) -> None:
    cores, printed = side_by_side["cores"], side_by_side["printed"]
    table = printed[printed.index("cycles by core, zero-wait memory"):]
    for row, name in enumerate([*LAYERS, "outside", "total"]):
        line = next(line for line in table.splitlines() if f"│ {name} " in line)
        for core in cores.values():
            cycles = [*(layer["cycles"] for layer in core["layers"]), core["outside"], core["cycles"]][row]
            assert f" {cycles:,} " in line
    assert "cortex-m4, cortex-m7, cortex-m33: one run of thumb2 -mcpu=cortex-m4" in printed
    assert "cortex-m0plus: m0 -mcpu=cortex-m0plus" in printed and "since cortex-m0plus lacks" in printed
    rows = list(csv.DictReader((side_by_side["folder"] / "run.csv").read_text().splitlines()))
    for name, core in cores.items():
        assert [int(row[f"cycles_{name}"]) for row in rows] == [layer["cycles"] for layer in core["layers"]]
    texts = (side_by_side["folder"] / "run.svg").read_text()
    assert all(f"{name}, {core['kernels']}: {core['cycles']:,}" in texts for name, core in cores.items())


def test_cores_are_those_that_were_named(run) -> None:
    facts = json.loads(run("emu.run", "kws", "--kernels", "c", "--core", "cortex-m33", "--core", "cortex-m0plus", "--core", "cortex-m33",
                           "--json", "-").stdout)
    assert list(facts["cores"]) == ["cortex-m33", "cortex-m0plus"] and facts["core"] == "cortex-m33"
    alone = json.loads(run("emu.run", "kws", "--kernels", "c", "--core", "cortex-m0plus", "--core", "cortex-m33", "--json", "-").stdout)
    assert alone["cores"]["cortex-m33"]["same_run"] is True  # the M0+'s image runs on any core
    assert alone["totals"]["cycles"] == alone["cores"]["cortex-m0plus"]["cycles"] == facts["cores"]["cortex-m0plus"]["cycles"]


def test_memories_are_named(run) -> None:
    slow = json.loads(run("emu.run", "kws", "--memory", "stm32f407-168mhz", "--json", "-").stdout)
    fast = json.loads(run("emu.run", "kws", "--json", "-").stdout)
    assert (slow["memory"], fast["memory"]) == ("stm32f407-168mhz", "zero-wait")
    assert slow["totals"]["cycles"] > fast["totals"]["cycles"] and slow["totals"]["instructions"] == fast["totals"]["instructions"]
    assert "with stm32f407-168mhz memory" in run("emu.run", "kws", "--memory", "stm32f407-168mhz").stdout


def test_a_core_that_cannot(run) -> None:
    for core in ("cortex-m0plus", "cortex-m3"):
        done = run("emu.run", "kws", "--core", core)
        assert done.returncode == 4 and not done.stdout and done.stderr.count("\n") == 1
        assert f"{core} cannot execute the thumb2 kernels" in done.stderr and "--kernels m0 or c" in done.stderr
    done = run("emu.run", "kws", "--core", "cortex-m5")
    assert done.returncode == 2 and "no core 'cortex-m5'" in done.stderr
    done = run("emu.run", "kws", "--stream", "--core", "all")
    assert done.returncode == 2 and "--stream takes one --input and one --core" in done.stderr
    done = run("emu.run", "kws", "--memory", "fast")
    assert done.returncode == 2 and "no memory 'fast'" in done.stderr


def test_csv_reads_as_tinyminds(run, tmp_path: Path) -> None:
    done = run("emu.run", "kws", "--csv", "-")
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert done.stdout.startswith("name,weight_bytes,activation_bytes,cycles,")
    assert [row["name"] for row in rows] == LAYERS
    assert all(int(row["cycles"]) > 0 and row["bit_exact"] == "true" for row in rows)
    assert run("emu.run", "kws", "--csv", str(tmp_path / "kws.csv")).returncode == 0
    assert (tmp_path / "kws.csv").read_text() == done.stdout


@pytest.mark.parametrize(("kernels", "network"), [("thumb2", "kws int8"), ("float", "kws float32")])
def test_plots(run, tmp_path: Path, kernels: str, network: str) -> None:
    for name in ("kws.png", "kws.svg", "again.svg"):
        done = run("emu.run", "kws", "--kernels", kernels, "--plot", str(tmp_path / name), "--json", str(tmp_path / "kws.json"))
        assert done.returncode == 0
    assert (tmp_path / "kws.svg").read_bytes() == (tmp_path / "again.svg").read_bytes()
    pixels = image.imread(tmp_path / "kws.png")
    assert pixels.shape == (594, 1540, 4) and pixels[..., :3].std() > 0.1
    totals = json.loads((tmp_path / "kws.json").read_text())["totals"]
    root = xml.etree.ElementTree.parse(tmp_path / "kws.svg").getroot()
    texts = {"".join(element.itertext()).strip() for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {f"{network} per layer: {kernels} kernels, modelled cortex-m4", f"compute: {totals['cycles']:,} cycles", "memory footprint"} <= texts
    layers = LAYERS if kernels != "float" else [name.removeprefix("q") for name in LAYERS]
    assert set(layers) <= texts


def test_traffic_table(run) -> None:
    printed = run("emu.run", "kws", "--kernels", "c", "--traffic").stdout  # thumb2's tables are packed into one
    for part in ("input", "weights", "bias", "requantization", "output", "stack", "literals", "instruction fetch"):
        assert part in printed


def test_inputs_of_every_kind_give_the_same_answer(run, tmp_path: Path) -> None:
    word = json.loads(run("emu.run", "kws", "--input", "go", "--json", "-").stdout)
    wav = json.loads(run("emu.run", "kws", "--input", str(features.WORDS / "go.wav"), "--json", "-").stdout)
    np.save(tmp_path / "go.npy", features.load_input("go")[0])
    array = json.loads(run("emu.run", "kws", "--input", str(tmp_path / "go.npy"), "--json", "-").stdout)
    assert word["answer"] == wav["answer"] == array["answer"]
    assert word["totals"] == wav["totals"] == array["totals"]


def test_a_converted_recording_says_so(run, tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "half.wav", np.zeros((22050, 2)), 44100)
    done = run("emu.run", "kws", "--input", str(tmp_path / "half.wav"), "--csv", "-")
    assert done.returncode == 0
    assert "44100 Hz resampled to 16000 Hz" in done.stderr and "mixed down" in done.stderr


def test_same_counts_in_every_run_and_at_every_optimization_of_assembly(run) -> None:
    first, second, size = (json.loads(run("emu.run", "kws", "--opt", opt, "--json", "-").stdout) for opt in ("O3", "O3", "Os"))
    assert first == second
    for a, b in zip(first["layers"], size["layers"], strict=True):
        assert (a["instructions"], a["traffic"]) == (b["instructions"], b["traffic"])


def test_help_and_bare_call(run) -> None:
    help_text = run("emu.run", "--help").stdout
    for text in ("--kernels", "--traffic", "Exit status", "Examples", "not bit-exact"):
        assert text in help_text
    bare = run("emu.run")
    assert bare.returncode == 0 and "kws" in bare.stdout
    assert "accounting" in run("emu.bench", "--help").stdout


def test_bench_compares_the_three_ways(run) -> None:
    facts = json.loads(run("emu.bench", "--json", "--kernels", "thumb2", "--rounds", "3", "--seconds", "0.05").stdout)
    assert facts["thumb2_accounting_over_bare"] > 1
    assert facts["thumb2_python_hooks_over_accounting"] > 10


@pytest.mark.parametrize(("body", "status", "message"), [
    ("*(volatile int *)0x30000000 = (int)(p->out_c + x[0]);", 5, "error: write of 4 bytes outside memory"), ("y[0] = x[0] + (int8_t)p->out_c;", 1, "error: layer qdense_16x10 is not bit-exact")])
def test_bench_times_no_kernel_that_is_wrong(run, tmp_path: Path, body: str, status: int, message: str) -> None:
    (tmp_path / "dense.c").write_text('#include "kernels.h"\nvoid dense_s8(const pointwise_s8_params *p, const int8_t *x, int8_t *y, void *scratch)\n'
                                      f"{{\n    (void)scratch, (void)y;\n    {body}\n}}\n")
    done = run("emu.bench", "--kernels", str(tmp_path))
    assert (done.returncode, done.stdout) == (status, "") and done.stderr.startswith(message) and done.stderr.count("\n") == 1
