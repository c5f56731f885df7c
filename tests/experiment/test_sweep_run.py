"""Points that run: their figures against calls made one by one, what fails and is a row, and what is done again and what is not."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from emu import tables
from emu.build import toolchain
from emu.build.cache import REPOSITORY
from emu.experiment.sweep import identity, local, measure, plan, run, spec, worker
from emu.experiment.sweep.measure import Stale
from emu.experiment.sweep.store import Store
from emu.profile import PARTS
from emu.testing import Kernels
from emu.timing import core as cores
from kwsq import synthetic

SMALL = """
[grid]
kernels = ["thumb2", "c"]
[[shape]]
kind = "conv2d"
size = [5, "4x7"]
in_c = 3
out_c = 4
kernel = 3
[[shape]]
kind = "dense"
in_c = [4, 9]
[[shape]]
kind = "global_avg_pool2d"
size = 3
in_c = 5
"""


def planned(text: str) -> plan.Plan:
    return plan.make(spec.parse("x", tomllib.loads(text), Path()))


def swept(text: str, path: Path, jobs: int = 1, **options: bool) -> run.Outcome:
    """A whole sweep into the file at path."""
    return found(planned(text), path, run.runner(jobs, None), **options)


def found(points: plan.Plan, path: Path, runner: run.Runner, retry: bool = False) -> run.Outcome:
    store = Store(path)
    return run.sweep(points, store, runner, work=plan.left(points, store.rows, retry))


def facts(rows: tuple[run.Row, ...]) -> list[run.Row]:
    """All but what differs from time to time."""
    return [{name: value for name, value in row.items() if name not in ("seconds", "finished", "host")} for row in rows]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `small` is."""
    return tmp_path_factory.mktemp("sweep") / "x.parquet"


@pytest.fixture(scope="module")
def small(results: Path) -> run.Outcome:
    return swept(SMALL, results, jobs=2)


def test_every_figure_is_that_of_the_call(small: run.Outcome) -> None:
    kernels = Kernels()
    assert len(small.rows) == small.ran == 10 and {row["status"] for row in small.rows} == {"ok"}
    for row, point in zip(small.rows, small.plan.points, strict=True):
        params, x = synthetic.sample(row["kernel"], point.sizes, row["seed"])
        call = kernels(row["kernel"], params, x, kernels=row["kernels"])
        call.assert_bit_exact()
        assert row["bit_exact"] and row["error"] is None
        assert [row[name] for name in ("instructions", "cycles", "bytes_read", "bytes_written", "stack_bytes", "macs")] == [
            call.instructions, call.cycles, call.bytes_read, call.bytes_written, call.stack, synthetic.macs(row["kernel"], point.sizes)]
        assert row["cycles_per_mac"] == (row["cycles"] / row["macs"] if row["macs"] else None)
        traffic = {name.replace("requantization", "requant"): (row[f"{name}_bytes_read"], row[f"{name}_bytes_written"]) for name in PARTS}
        assert {name: moved for name, moved in traffic.items() if any(moved)} == {
            name.replace("packed", "weights"): (moved.bytes_read, moved.bytes_written) for name, moved in call.traffic.items()}
        assert 0 < row["code_bytes"] < row["flash_bytes"] and 0 < row["seconds"] < 60


def test_a_row_says_what_made_it(small: run.Outcome) -> None:
    compiler = toolchain.find()
    for row in small.rows:
        assert (row["compiler"], row["compiler_identity"]) == (compiler.version, compiler.identity)
        assert row["schema"] == identity.SCHEMA and row["sources"] == identity.sources(row["kernels"]) and len(row["image_sha256"]) == 64
        assert len(row["git_revision"]) == 40 and row["opt"] == "O3" and row["host"]


def test_nothing_is_done_twice(small: run.Outcome, results: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(results, tmp_path))
    again = swept(SMALL, path)
    assert small.ran == 10 and again.ran == 0 and again.rows == small.rows
    more = swept(SMALL.replace("[4, 9]", "[4, 9, 10]"), path)
    assert more.ran == 2 and len(more.rows) == 12
    fewer = swept(SMALL.replace("[4, 9]", "4"), path)
    assert fewer.ran == 0 and len(fewer.rows) == 8 and fewer.others == 4


def test_sources_are_all_that_takes_part_wherever_it_lies(tmp_path: Path) -> None:
    """In the folder, beside it by kernels.toml, and by #include."""
    for name, text in {"mine/kernels.toml": 'sources = ["*.c", "../beside.c"]\n', "mine/a.c": '#include "../outside.h"\n', "beside.c": "", "outside.h": "",
                       "other.h": "", "mine/README.md": "", "mine/.git/HEAD": "", "mine/x.parquet": "", "mine/x.parquet.journal": ""}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text)
    found = [identity.sources(str(tmp_path / "mine"))]
    for name in ("mine/a.c", "beside.c", "outside.h", "other.h", "mine/README.md", "mine/.git/HEAD", "mine/x.parquet", "mine/x.parquet.journal"):
        (tmp_path / name).write_text((tmp_path / name).read_text() + "\n")
        found.append(identity.sources(str(tmp_path / "mine")))
    assert len(set(found)) == 4 and set(found[3:]) == {found[3]}


def test_a_point_whose_sources_changed_is_done_again(small: run.Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {row["point"]: row for row in small.rows}
    assert not plan.left(planned(SMALL), before).points
    sources = identity.sources
    monkeypatch.setattr(identity, "sources", lambda kernels: sources(kernels) + "*" * (kernels == "c"))
    changed = plan.left(planned(SMALL), before)
    assert {task.kernels for task in changed.tasks} == {"c"} and changed.points == 5
    with pytest.raises(Stale, match="changed since the sweep began"):  # a worker has the sources as they are
        next(local.run(changed.tasks, 1))


def test_pricing_keeps_nothing_of_a_run() -> None:
    (task,) = plan.left(planned('[[shape]]\nkind = "dense"\nin_c = 5'), {}).tasks
    first, known = measure.run(task), dict(cores.load("cortex-m4").known)
    again = measure.run(task)
    assert known and len(cores.load("cortex-m4").known) == len(known)
    assert [{**row, "seconds": 0} for row in again] == [{**row, "seconds": 0} for row in first]


def test_one_run_is_priced_for_every_core_that_could_execute_it(tmp_path: Path) -> None:
    shape = '[[shape]]\nkind = "conv2d"\nsize = 5\nin_c = 4\nkernel = 3\n'
    names = '["cortex-m0plus", "cortex-m4", "cortex-m7", "cortex-m33"]'
    done = swept(f'[grid]\nmcpu = "cortex-m4"\ncore = {names}\nmemory = ["zero-wait", "stm32h743-400mhz"]\n{shape}', tmp_path / "x.parquet")
    rows = {(row["core"], row["memory"]): row for row in done.rows}
    assert len(plan.left(done.plan, {}).tasks) == 1
    assert {row["status"] for row in done.rows if row["core"] == "cortex-m0plus"} == {"cannot execute"}
    assert "lacks" in rows["cortex-m0plus", "zero-wait"]["error"]
    assert len({row["image_sha256"] for row in done.rows}) == 1 and len({row["instructions"] for row in done.rows if row["status"] == "ok"}) == 1
    for (core, memory), row in rows.items():
        ((alone,),) = (measure.run(task) for task in plan.left(planned(
            f'[grid]\nmcpu = "cortex-m4"\ncore = "{core}"\nmemory = "{memory}"\n{shape}'), {}).tasks)
        assert (alone["status"], alone.get("cycles")) == (row["status"], row["cycles"])
    assert rows["cortex-m7", "stm32h743-400mhz"]["cycles"] > rows["cortex-m7", "zero-wait"]["cycles"]


def test_the_keyword_spotter_is_a_point(tmp_path: Path) -> None:
    from emu import kws

    done = swept('[grid]\nkernels = ["thumb2", "float"]\n[[shape]]\nnetwork = "kws"\n[[shape]]\nkind = "dense"\nin_c = 5', tmp_path / "x.parquet")
    by = {(row["kernels"], row["kind"]): row for row in done.rows}
    profile, difference, _ = kws.judged(kws.Job())
    row = by["thumb2", "network"]
    assert not difference and (row["cycles"], row["instructions"], row["macs"]) == (profile.totals.cycles, profile.totals.instructions, profile.totals.macs)
    assert row["input"] == "yes" and row["bit_exact"]
    assert by["float", "network"]["bit_exact"] is None and by["float", "network"]["max_abs_error"] < 1e-4
    assert by["float", "dense"]["kernel"] == "dense_f32" and by["float", "dense"]["max_abs_error"] < 1e-4


# --- what goes wrong ---


def compiler(folder: Path, name: str, script: str) -> str:
    """A program that says it is the compiler, and then does something else."""
    path = folder / name
    path.write_text(f'#!/bin/sh\ncase "$1" in --version) echo {name} 1.0;; -dumpmachine) echo arm-none-eabi;; *) {script};; esac\n')
    path.chmod(0o755)
    return str(path)


def test_a_compiler_that_crashes_or_hangs_or_is_not_there_is_a_row_and_the_rest_goes_on(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    crashes, hangs = compiler(tmp_path, "crashes", "kill -SEGV $$"), compiler(tmp_path, "hangs", f"echo $$ >> {pids}; exec sleep 100")
    text = f'timeout = 1\n[grid]\ncc = ["{crashes}", "{hangs}", "/no/such/gcc", "gcc"]\n[[shape]]\nkind = "dense"\nin_c = [4, 5]'
    path = tmp_path / "x.parquet"
    assert swept('[[shape]]\nkind = "dense"\nin_c = 4', tmp_path / "first.parquet").ran  # its image is built: gcc needs no time of the second
    done = swept(text, path)
    by = {(Path(row["cc"]).name, row["in_c"]): row for row in done.rows}
    assert [by["crashes", n]["status"] for n in (4, 5)] == ["build error"] * 2
    assert [by["hangs", n]["status"] for n in (4, 5)] == ["timeout"] * 2
    assert "building thumb2 with" in by["hangs", 4]["error"] and "within 1 s" in by["hangs", 4]["error"]
    assert by["hangs", 5]["seconds"] < 0.5  # the second time it is known
    assert by["hangs", 4]["cycles"] is None
    assert by["gcc", 4]["status"] == "ok" == by["gcc", 5]["status"]
    missing = next(row for row in done.rows if row["cc"] == "/no/such/gcc")
    assert missing["status"] == "build error" and "no such compiler" in missing["error"]
    assert not any(psutil.pid_exists(int(pid)) for pid in pids.read_text().split())
    assert swept(text, path).ran == 0
    assert plan.left(done.plan, {row["point"]: row for row in done.rows}, retry=True).points == 6
    patient = replace(done.plan, sweep=replace(done.plan.sweep, timeout=500.0))
    assert {task.cc for task in plan.left(patient, {row["point"]: row for row in done.rows}).tasks} == {hangs}


def test_a_kernel_of_somebodys_folder_that_is_wrong_and_one_that_faults(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "pool.c").write_text(
        '#include "kernels.h"\n'
        "void global_avg_pool2d_s8(const global_avg_pool2d_s8_params *p, const int8_t *x, int8_t *y, void *scratch)\n"
        "{\n    (void)scratch;\n    if (p->in_c == 7)\n        *(volatile int *)0x70000000 = 1;\n    if (p->in_c == 9)\n        *(int8_t *)x = 1;\n"
        "    for (int c = 0; c < p->in_c; c++)\n        y[c] = 3;\n}\n")
    text = f'[grid]\nkernels = ["{mine}", "c"]\n[[shape]]\nkind = "global_avg_pool2d"\nsize = 2\nin_c = [5, 7, 9]\n[[shape]]\nkind = "dense"\nin_c = 4'
    rows = swept(text, tmp_path / "x.parquet").rows
    assert [(row["status"], row["bit_exact"]) for row in rows if row["kernels"] == str(mine)] == [
        ("not bit-exact", False), ("fault", None), ("fault", None), ("ok", True)]
    assert "is not bit-exact: element (0, 0, 0) is 3" in rows[0]["error"] and rows[0]["cycles"] > 0
    assert "0x70000000" in rows[2]["error"] and "wrote into input" in rows[4]["error"]
    assert {row["status"] for row in rows if row["kernels"] == "c"} == {"ok"} and rows[6]["cycles"] == rows[7]["cycles"]  # dense is c's
    assert identity.sources(str(mine)) == rows[0]["sources"]
    (mine / "pool.c").write_text("")
    assert identity.sources(str(mine)) != rows[0]["sources"]


# --- what is stopped ---


def children() -> list[psutil.Process]:
    """Workers that are alive."""
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):  # it ends while it is looked at
            if worker.__name__ in child.cmdline():
                found.append(child)
    return found


def test_a_worker_that_is_killed_costs_nothing_but_time(small: run.Outcome, tmp_path: Path) -> None:
    killed = []

    def runner(tasks) -> Iterator[tuple[int, worker.Figures]]:
        for number, figures in local.run(tasks, 2):
            if len(killed) < 3:
                victim = children()[0]
                killed.append(victim.pid)
                victim.kill()
            yield number, figures

    done = found(planned(SMALL), tmp_path / "x.parquet", runner)
    assert len(killed) == 3 and facts(done.rows) == facts(small.rows)
    assert not children()


def test_a_task_that_kills_its_process_every_time_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = tmp_path / "python"
    dead.write_text(f"#!/bin/sh\necho >> {tmp_path}/started\n")
    dead.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(dead))
    text = '[[shape]]\nkind = "dense"\nin_c = 4'
    done = swept(text, tmp_path / "x.parquet")
    assert [(row["status"], row["error"]) for row in done.rows] == [("worker died", "the process that ran it died 3 times")]
    assert len((tmp_path / "started").read_text().splitlines()) == 3
    monkeypatch.undo()
    assert [row["status"] for row in swept(text, tmp_path / "x.parquet").rows] == ["ok"]  # is done again


def test_a_process_that_does_not_answer_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = tmp_path / "python"
    deaf.write_text("#!/bin/sh\nexec sleep 100\n")
    deaf.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(deaf))
    monkeypatch.setattr(worker, "GRACE", 0.2)
    done = swept('timeout = 0.2\n[[shape]]\nkind = "dense"\nin_c = 4', tmp_path / "x.parquet")
    assert [(row["status"], row["error"]) for row in done.rows] == [("timeout", "no result within 0.2 s")]


GATES = ("first", "second")


def gated(folder: Path) -> None:
    """A sweep of two shapes and three compilers, the last two of which wait for a file of their name before they compile."""
    for name in GATES:
        path = folder / name / "gcc"
        path.parent.mkdir()
        path.write_text(f'#!/bin/sh\ncase "$1" in --version | -dumpmachine) ;; *) until [ -e {folder}/{name}.open ]; do sleep 0.02; done;; esac\n'
                        f'exec {toolchain.find().path} "$@"\n')
        path.chmod(0o755)
    compilers = [str(toolchain.find().path), *(str(folder / name / "gcc") for name in GATES)]
    (folder / "many.toml").write_text(f'[grid]\nkernels = "c"\nopt = "O0"\ncc = {json.dumps(compilers)}\n[[shape]]\nkind = "dense"\nin_c = [3, 4]\n')


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "emu.experiment", "sweep", "many.toml", "--jobs", "1", *arguments], cwd=folder, text=True,
                            env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for_rows(folder: Path, process: subprocess.Popen[str], rows: int) -> None:
    journal = folder / "many.parquet.journal"
    until = time.monotonic() + 60
    while not journal.exists() or journal.read_bytes().count(b'"row"') < rows:
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.01)


def test_a_sweep_that_is_killed_goes_on_and_no_two_write_one_file(tmp_path: Path, one_line_error) -> None:
    gated(tmp_path)
    first = start(tmp_path)
    wait_for_rows(tmp_path, first, 1)
    first.send_signal(signal.SIGSTOP)
    message = one_line_error(3, "emu.experiment", "sweep", "many.toml", folder=tmp_path, PYTHONPATH=str(REPOSITORY))
    assert f"many.parquet is being written by another sweep (process {first.pid} on " in message
    workers = psutil.Process(first.pid).children()
    first.kill()
    (tmp_path / "first.open").touch()
    first.communicate()
    assert not psutil.wait_procs(workers, 30)[1]  # they notice
    assert (tmp_path / "many.parquet.journal").read_bytes().count(b'"row"') == 1 and not (tmp_path / "many.parquet").exists()

    second = start(tmp_path)
    wait_for_rows(tmp_path, second, 2)
    second.send_signal(signal.SIGINT)
    _, errors = second.communicate(timeout=60)
    assert second.returncode == 130 and "Traceback" not in errors
    assert not (tmp_path / "many.parquet.journal").exists()
    store = Store(tmp_path / "many.parquet")
    interrupted = dict(store.rows)
    store.close()
    assert len(interrupted) == 2

    (tmp_path / "second.open").touch()
    third = start(tmp_path, "--json", "-")
    output, errors = third.communicate(timeout=60)
    report = json.loads(output)
    assert third.returncode == 0, errors
    assert report["ran"] == 4 and report["statuses"] == {"ok": 6} and not report["interrupted"]
    assert sorted(path.name for path in tmp_path.glob("many*")) == ["many.parquet", "many.toml"]
    assert all(interrupted[row["point"]] == row for row in report["rows"] if row["point"] in interrupted)


def test_a_measured_point_is_quick(small: run.Outcome) -> None:
    """When its image is built; in processor time, which a busy machine does not lengthen."""
    assert all(row["seconds"] > 0 for row in small.rows)
    began = time.process_time()
    rows = [row for task in plan.left(planned(SMALL), {}).tasks for row in measure.run(task)]
    assert len(rows) == len(small.rows) and (time.process_time() - began) / len(rows) < 0.15


def test_the_documentation_is_true() -> None:
    """Statuses, the number of points of each file, and the table's figures of assembly, which no compiler changes."""
    text = (REPOSITORY / "docs" / "sweep.md").read_text()
    assert all(f"`{status}`" in text for status in measure.STATUSES)
    counts = dict(re.findall(r"^\| `([\w-]+)` \|.*\| ([\d,]+) \|$", text, re.MULTILINE))
    assert counts == {name: f"{len(plan.make(spec.load(name)).points):,}" for name in tables.names(spec.READY)}
    rows = {cells[0]: cells for line in text.splitlines() if line.startswith("│") and (cells := [cell.strip() for cell in line.strip("│").split("│")])}
    work = plan.left(plan.make(spec.load("mlperf-tiny"), ["shape=kws*", "kernels=thumb2"]), {})
    for task, (point,) in zip(work.tasks, work.served, strict=True):
        (row,) = measure.run(task)
        assert rows[point.row["shape"]][1:3] == [
            f"{row['macs']:,}" if row["macs"] else "", f"{row['cycles_per_mac']:.2f}" if row["macs"] else f"{row['cycles']:,}"]
