"""The command line of `python -m emu.bench`."""

from __future__ import annotations

import dataclasses
import json
import sys

import click

from emu.cli import SETTINGS, refuse, run_command, status

EPILOG = """\b
What is compared, on the keyword spotter's image, one inference after the other in one engine:
  bare          Unicorn without any hook
  accounting    the native probe: streams, traffic by tensor, sites, stack (what emu.run uses)
  python hooks  the same counts by one Python code hook that looks instructions up and reads registers;
                its counts are checked against the probe's first

\b
Ratios are medians over rounds in which all three run in turn. Timings are this machine's.
"""


@click.command(epilog=EPILOG, context_settings=SETTINGS)
@click.option("--kernels", "sets", multiple=True, default=("thumb2", "c"), show_default=True, metavar="SET|DIR",
              help="Kernel sets, or folders of kernels; may be given again.")
@click.option("--rounds", type=click.IntRange(1, 1000), default=5, show_default=True, help="Rounds.")
@click.option("--seconds", type=click.FloatRange(0.01, 60), default=0.3, show_default=True, help="Seconds of bare Unicorn a round.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: keys end in accounting_over_bare and python_hooks_over_accounting.")
def main(sets: tuple[str, ...], rounds: int, seconds: float, as_json: bool) -> None:
    """What accounting costs, over bare Unicorn and against Python hooks."""
    from emu.bench.accounting import cost
    from emu.kws import Job, judged, load, prepared, read

    job, costs = Job(), {}
    loaded, features = load(job), read("yes").features
    for kernels in sets:
        refuse(judged(Job(kernels=kernels)).difference, allow_mismatch=False)  # of kernels that fault, too: what is timed watches nothing
        ready = prepared(job, loaded, kernels)
        with status(f"{kernels}: warming up") as say:
            costs[kernels] = cost(ready.image, ready.program, ready.network.input_array(features), ready.core, rounds=rounds, seconds=seconds,
                                  progress=lambda message, kernels=kernels, say=say: say(f"{kernels}: {message}"))
    if as_json:
        facts = {f"{kernels}_{key}": value for kernels, measured in costs.items() for key, value in dataclasses.asdict(measured).items()}
        click.echo(json.dumps({"schema": 1, "core": loaded.core.name, **facts}, indent=2))
        return
    for kernels, measured in costs.items():
        click.echo(f"{kernels}: {measured.instructions:,} instructions an inference; bare {measured.bare * 1e3:.2f} ms, "
                   f"accounting {measured.accounting * 1e3:.2f} ms ({measured.accounting_over_bare:.1f} times), "
                   f"Python hooks {measured.python_hooks * 1e3:,.0f} ms ({measured.python_hooks_over_accounting:.0f} times accounting)")


if __name__ == "__main__":
    sys.exit(run_command(main))
