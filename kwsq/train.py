"""Fit the keyword-spotting network to a folder of recordings: features, the 474-parameter network in float32, int8.

Every recording is heard as it is and in `copies` - 1 altered copies (kwsq.augment), one of them an epoch. A network is fitted
(kwsq.fit) for every fold of speakers, with that fold's speakers unheard, and with all of them; that last one is the model.
Torch is needed for fitting alone: the command's help and its checks do without.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from kwsq import augment, dataset, features, kws, model
from kwsq.errors import InputError
from kwsq.recipe import Fit, Recipe

WORDS = len(kws.LABELS)


def copies_of(sounds: np.ndarray, first: int, recipe: Recipe) -> np.ndarray:
    """int8 (n, copies, 20, 20): float32 (n, 16000) as they are and altered; `first` is the number of the first of them."""
    out = np.empty((len(sounds), recipe.copies, *features.SHAPE[:2]), np.int8)
    for i, sound in enumerate(sounds.astype(np.float64)):
        for copy in range(recipe.copies):
            heard = augment.augment(sound, (recipe.seed, first + i, copy)) if copy else sound
            out[i, copy] = features.extract(heard)[..., 0]
    return out


_shared: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None


def _share(*arrays: np.ndarray) -> None:
    global _shared
    _shared = arrays  # once for each worker, not once for each task


def _fit_shared(fold: int | None, recipe: Recipe) -> Fit:
    from kwsq import fit

    return fit.fit(*_shared, fold, recipe)


def _pool(jobs: int, *arrays: np.ndarray) -> ProcessPoolExecutor:
    # BLAS reads these when a worker imports NumPy: one core a worker
    os.environ |= {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    return ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _share, arrays)


def train(data: dataset.Dataset, recipe: Recipe, folds: int, jobs: int) -> list[Fit]:
    """A Fit for every fold of speakers, and last the one to everything. InputError for fewer speakers than folds."""
    started = time.monotonic()
    split = dataset.speaker_folds(data.speakers, folds, 0) if folds else np.zeros(len(data), np.int64)
    parts = range(0, len(data), 100)
    with _pool(jobs) as pool:
        made = []
        for part in pool.map(copies_of, [data.sound[at:at + 100] for at in parts], parts, [recipe] * len(parts)):
            made.append(part)
            if len(made) % 5 == 0 or len(made) == len(parts):
                click.echo(f"features: {min(100 * len(made), len(data))}/{len(data)} recordings, {recipe.copies} copies", err=True)
    with _pool(jobs, np.concatenate(made), data.labels, split) as pool:
        fits = list(pool.map(_fit_shared, [*range(folds), None], [recipe] * (folds + 1)))
    click.echo(f"fitted {len(fits)} networks in {time.monotonic() - started:.0f} s", err=True)
    return fits


def card(data: dataset.Dataset, fits: list[Fit]) -> list[str]:
    """Markdown: accuracy by fold, by word, confusion matrix; of the held-out recordings, or of the heard ones without folds."""
    judged = [fit for fit in fits if fit.fold is not None] or fits
    lines = ["| fold | recordings | float | int8 | int8 = float |", "| --- | --- | --- | --- | --- |"]
    rows = np.array([[*(np.mean(given == data.labels[fit.heard]) for given in (fit.float_answers, fit.int8_answers)),
                      np.mean(fit.float_answers == fit.int8_answers)] for fit in judged]) * 100
    for fit, row in zip(judged, rows, strict=True):
        name = "none held out" if fit.fold is None else fit.fold + 1
        lines.append(f"| {name} | {len(fit.heard)} | " + " | ".join(f"{value:.1f} %" for value in row) + " |")
    spread = rows.std(axis=0, ddof=1) if len(rows) > 1 else np.zeros(3)
    means = (f"{mean:.1f} +- {off:.1f} %" for mean, off in zip(rows.mean(axis=0), spread, strict=True))
    lines.append("| mean +- deviation | | " + " | ".join(means) + " |")
    confusion = np.zeros((WORDS, WORDS), int)
    for fit in judged:
        np.add.at(confusion, (data.labels[fit.heard], fit.int8_answers), 1)
    lines += ["", "int8, said (rows) and heard (columns):", "", "| | " + " | ".join(kws.LABELS) + " | share right |",
              "| --- " * (WORDS + 2) + "|"]
    lines += [f"| {word} | " + " | ".join(map(str, row)) + f" | {100 * row[i] / max(1, row.sum()):.1f} % |"
              for i, (word, row) in enumerate(zip(kws.LABELS, confusion, strict=True))]
    if len(judged[0].curve) > 1:
        what = "training recordings" if judged[0].fold is None else "held out, mean over folds"
        lines += ["", f"| epoch | {what} |", "| --- | --- |"]
        lines += [f"| {points[0][0]} | {100 * np.mean([right for _, right in points]):.1f} % |"
                  for points in zip(*(fit.curve for fit in judged), strict=True)]
    return lines


def _report_skipped(data: dataset.Dataset) -> None:
    if data.unknown:
        click.echo(f"skipped {len(data.unknown)} folders that are no word of the network: {', '.join(data.unknown)}", err=True)
    for line in data.unreadable:
        click.echo(f"skipped {line}", err=True)
    if data.unreadable:
        click.echo(f"skipped {len(data.unreadable)} files that cannot be used", err=True)


def _check_before(out: Path) -> None:
    """What would only fail after minutes. ClickException without torch, or when the model could not be written."""
    try:
        import torch  # noqa: F401
    except (ImportError, OSError) as error:
        raise click.ClickException(f"kwsq.train needs torch ({error}): pip install .[train]") from None
    if not os.access(out.parent, os.W_OK):
        raise click.ClickException(f"{out}: cannot be written: {out.parent} is no folder that can be written to")


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path),
              help=f"Model file to write; the shipped one is {model.KWS.parent.parent.name}/{model.KWS.parent.name}/{model.KWS.name}.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**31), help="Seed of copies, first weights and order.")
@click.option("--epochs", default=Recipe.epochs, show_default=True, type=click.IntRange(1), help="Epochs of a fit.")
@click.option("--copies", default=Recipe.copies, show_default=True, type=click.IntRange(1), help="Copies of a recording, itself included.")
@click.option("--folds", default=5, show_default=True, type=click.IntRange(0, 50),
              help="Folds of speakers to cross-validate with before the fit on everything; 0 for none.")
@click.option("--limit", type=click.IntRange(1), help="Use this many recordings, spread evenly.")
@click.option("--jobs", default=2, show_default=True, type=click.IntRange(1), help="Processes, a core each.")
def main(directory: Path, out: Path, seed: int, epochs: int, copies: int, folds: int, limit: int | None, jobs: int) -> None:
    """Fit the keyword-spotting network to the recordings in DIRECTORY, a folder a word, and write it, float32 and int8.

    Prints a model card's tables: the accuracy on speakers that were not heard, fold by fold, the confusion matrix and the
    validation curve. The same seed, folder, torch and kind of CPU give the same file.

    Needs torch: pip install .[train]

    Exit status: 0 done, 1 nothing could be fitted (also: no torch) or written, or some files could not be used, 2 wrong usage.
    """
    if folds == 1:
        raise click.BadParameter("one fold leaves nobody to learn from", param_hint="--folds")
    _check_before(out)
    try:
        data = dataset.read(directory, limit)
        _report_skipped(data)
        recipe = replace(Recipe(), seed=seed, epochs=epochs, copies=copies)
        fits = train(data, recipe, folds, jobs)
        model.save(out, fits[-1].networks)
    except (InputError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    click.echo("\n".join(card(data, fits)))
    click.echo(f"\nwrote {out}: fitted to {len(data)} recordings of {len(set(data.speakers))} speakers, seed {seed}")
    if data.unreadable:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
