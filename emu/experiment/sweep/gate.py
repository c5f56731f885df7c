"""What the shapes of a sweep file cost one kernel set, for the gate."""

from __future__ import annotations

from dataclasses import replace

from emu.build import compile as images
from emu.build import kernel_folder
from emu.check.budgets import Budget, Figures
from emu.check.gate import Measured
from emu.experiment.sweep import local, plan, run, spec
from emu.experiment.sweep.measure import WRONG
from emu.experiment.sweep.shapes import NETWORK
from emu.experiment.sweep.spec import Variant


def measured(file: str, budget: Budget, kernels: str, cc: str | None) -> Measured:
    """Of each shape, run in this process; the file's own grids say nothing here. Raises what `spec.load` and `run.check` do."""
    toolchain = kernel_folder.find(kernels).toolchain(cc)
    owners = images.implementations(kernels, float_abi=False, toolchain=toolchain, opt=budget.opt, cpu=budget.core)
    variant = Variant(kernels, cc, budget.opt, (), budget.core, budget.memory, budget.core)
    rows = run.measured(plan.make(replace(spec.load(file), variants=(variant,))), local.alone)
    run.check(rows)
    return Measured(
        {row["shape"]: Figures(row["instructions"], row["cycles"], row["bytes_read"], row["bytes_written"], row["stack_bytes"], row["code_bytes"]) for row in rows},
        [row["shape"] for row in rows if row["kind"] == NETWORK or owners[row["kernel"]].holds_c], toolchain.version,
        next((f"{row['shape']}: {row['error']}" for row in rows if row["status"] == WRONG), ""))
