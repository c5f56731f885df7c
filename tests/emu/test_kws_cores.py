"""The keyword spotter on every core: bit-exact where it can run, one line where it cannot, and one run priced for many cores."""

from __future__ import annotations

import time

import pytest

from emu import kws, measure
from emu.errors import BuildError
from emu.isa import cpu
from emu.timing.core import load as load_core
from tests.emu.compare import tallies
from tests.emu.tracer import Tracer

CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33")
DSP_CORES = CORES[2:]


@pytest.fixture(autouse=True)
def _own_cache() -> None:
    """The cache of all tests: others want these images, too."""


@pytest.fixture(scope="module")
def yes() -> kws.Input:
    return kws.read("yes")


def measured(core: str, kernels: str, entry: kws.Input, others: tuple[str, ...] = ()) -> tuple[kws.Prepared, measure.Inference]:
    job = kws.Job(kernels=kernels, core=core, other_cores=others)
    ready = kws.prepared(job, kws.load(job), kernels)
    inference, difference = kws._measure(job, ready, entry)
    assert difference is None
    return ready, inference


@pytest.mark.parametrize(("core", "kernels"), [*((core, "c") for core in CORES), *((core, "thumb2") for core in DSP_CORES)])
def test_int8_is_bit_exact(core, kernels, yes):
    ready, inference = measured(core, kernels, yes)
    assert all(row.bit_exact for row in inference.profile.layers) and inference.profile.core == core
    assert f"-mcpu={core}" in ready.about["flags"]
    assert not measure.obstacle(inference.counts, inference.instructions, cpu.find(core))


@pytest.mark.parametrize(("core", "kernels"), [("cortex-m0plus", "c"), ("cortex-m3", "c"), ("cortex-m7", "float"), ("cortex-m33", "thumb2")])
def test_counts_equal_the_tracers(core, kernels, yes):
    job = kws.Job(kernels=kernels, core=core)
    ready = kws.prepared(job, kws.load(job), kernels)
    machine, x = measure.prepare(ready.image, ready.program, ready.core), ready.network.input_array(yes.features)
    measure.write_input(machine, ready.program, x)
    machine.reset_and_run()
    tracer = Tracer(ready.image.path, core, kernels=tuple(layer.kernel for layer in ready.program.layers), layers=len(ready.program.layers))
    tracer.engine.mem_write(tracer.symbols[ready.program.input.symbol], x.tobytes())
    tracer.reset_and_run()
    assert tallies(machine) == tracer.tallies


@pytest.mark.parametrize("core", DSP_CORES)
def test_float_is_close(core, yes):
    ready, inference = measured(core, "float", yes)
    assert 0 < inference.profile.totals.max_abs_error < 1e-3
    assert f"-mfpu={cpu.find(core).fpu}" in ready.about["flags"]


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m3"])
def test_float_without_an_fpu_needs_the_compilers_libgcc(core, yes):
    try:
        _, inference = measured(core, "float", yes)
    except BuildError as error:
        assert f"float kernels need an FPU, which {core} has not (cortex-m4, cortex-m7, cortex-m33 have), or a libgcc" in str(error)
    else:
        assert 0 < inference.profile.totals.max_abs_error < 1e-3


@pytest.mark.parametrize(("core", "lacks"), [("cortex-m0plus", "the wide instructions.* and the DSP extension"), ("cortex-m3", "the DSP extension")])
def test_thumb2_names_what_is_lacking_and_what_to_use(core, lacks):
    job = kws.Job(core=core)
    with pytest.raises(BuildError, match=f"^{core} cannot execute the thumb2 kernels: it lacks {lacks}.*, as '.*' in .*; "
                                         "cortex-m4, cortex-m7, cortex-m33 have that; --kernels m0 or c ") as caught:
        kws.prepared(job, kws.load(job), "thumb2")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["cortex-m7", "cortex-m33"])
def test_a_run_priced_for_another_core_is_that_cores_own_run(name, yes):
    """The M4's image: the same streams, the same cycles, whether the other core ran it or was priced for it."""
    ready, inference = measured("cortex-m4", "thumb2", yes, (name,))
    own = measure.infer(ready.image, ready.program, ready.network.input_array(yes.features), load_core(name))
    priced = inference.on(load_core(name))
    assert priced.core == name and priced.totals.cycles != inference.profile.totals.cycles
    assert [row.cycles for row in (priced.outside, *priced.layers)] == [row.cycles for row in (own.profile.outside, *own.profile.layers)]
    assert [row.instructions for row in priced.layers] == [row.instructions for row in inference.profile.layers]


def test_another_core_takes_milliseconds(yes):
    _, inference = measured("cortex-m4", "thumb2", yes, CORES)
    for name in CORES:
        core, spent = load_core(name), []
        for _ in range(3):
            started = time.process_time()
            inference.on(core)
            spent.append(time.process_time() - started)
        assert min(spent) < 0.15  # 8 to 30 ms; room for a busy machine


def test_what_keeps_a_core_from_a_run(yes, assembler):
    """Decided by what was executed, not by names: the c set of the M4 runs on an M3 as long as gcc made no SMLABB of it."""
    _, thumb2 = measured("cortex-m4", "thumb2", yes)
    assert measure.obstacle(thumb2.counts, thumb2.instructions, cpu.find("cortex-m3")).startswith("cortex-m3 lacks the DSP extension")
    _, small = measured("cortex-m0plus", "c", yes)
    for core in CORES:
        assert not measure.obstacle(small.counts, small.instructions, cpu.find(core))
    machine = assembler.machine("mov r0, sp\nsubs r0, #7\nldr r1, [r0]\nbx lr\nsmlad r0, r1, r2, r3")  # SMLAD is never reached
    machine.call("snippet")
    for core in CORES[1:]:
        assert not measure.obstacle(machine.counts(), machine.instructions, cpu.find(core))
    reason = measure.obstacle(machine.counts(), machine.instructions, cpu.find("cortex-m0plus"))
    assert reason == "cortex-m0plus faults at unaligned addresses: 'ldr r1, [r0]' at 0x08000004"
