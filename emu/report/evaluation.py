"""An evaluation as text, JSON and CSV."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from emu.evaluate.score import Evaluation, Score
from emu.report import csv_form
from emu.report.records import Records
from emu.report.table import UNTRAINED, built

SCHEMA = 1  # of the JSON; it changes when a key changes its meaning or goes
_NAMED = 10  # of what is wrong, how much the text names; JSON names all


@dataclass(frozen=True)
class Shown:
    """An evaluation as forms draw it."""

    found: Evaluation

    def parts(self) -> list[Table | Text | str]:
        """The confusion matrix with each word's accuracy, and under it the figures over all clips."""
        return _parts(self.found)

    def document(self) -> dict[str, object]:
        """docs/reports.md has the keys."""
        return _document(self.found)

    def csv(self) -> str:
        """A row a clip, in the order of words and files."""
        columns = _columns(self.found)
        return csv_form.text(tuple(columns), ([row[name] for name in columns] for row in _rows(self.found)))

    def records(self) -> Records:
        """The same rows."""
        return Records(_columns(self.found), list(_rows(self.found)), {**self.found.about, "core": self.found.core, "folder": self.found.folder})

    def plot(self, target: str) -> bytes:
        """The confusion matrix."""
        from emu.report import confusion

        return confusion.render(self.found, target)


def _parts(evaluation: Evaluation) -> list[Table | Text | str]:
    about = evaluation.about
    head = f"{about['network']} on an emulated {evaluation.core}, {about['kernels']} kernels, {evaluation.folder}: what was said, and what was heard"
    return [Text(head, "italic"), _confusion(evaluation), *_lines(evaluation)]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.2%}"


def _confusion(evaluation: Evaluation) -> Table:
    """Rows: what was said; columns: what the device heard."""
    table = Table(header_style="bold")
    table.add_column("said")
    for name in (*evaluation.labels, "clips", "accuracy", "float"):
        table.add_column(name, justify="right")
    for word, counts in zip(evaluation.labels, evaluation.confusion.tolist(), strict=True):
        score = evaluation.by_word[word]
        cells = [Text(f"{count:,}" if count else "", "green" if heard == word else "red")
                 for heard, count in zip(evaluation.labels, counts, strict=True)]
        table.add_row(word, *cells, *_scored(score), end_section=word == evaluation.labels[-1])
    table.add_row("all", *(f"{heard:,}" for heard in evaluation.confusion.sum(axis=0).tolist()), *_scored(evaluation.score), style="bold")
    return table


def _scored(score: Score) -> list[str]:
    return [f"{score.clips:,}", _percent(score.share(score.correct)), _percent(score.share(score.float_correct))]


def _lines(evaluation: Evaluation) -> list[str | Text]:
    score = evaluation.score
    exact = evaluation.bit_exact
    checked = f"largest |error| of all layers {evaluation.max_abs_error:.1e}" if exact is None else f"{exact:,} bit-exact in all layers"
    lines = [
        f"clips      {score.clips:,} of {evaluation.available:,}" + (", interrupted" if evaluation.interrupted else ""),
        Text(f"checked    {checked}", "bold red" if evaluation.wrong else ""),
        f"accuracy   {_of(score, score.correct)} on the device" + ("" if evaluation.trained else UNTRAINED),
        f"float      {_of(score, score.float_correct)}; it agrees with the device in {_of(score, score.agreed)}",
        *_costs(evaluation),
        *built(evaluation.about, len("accuracy   ")),
        *_some("skipped   ", [f"folder {name}, no word of the network's: {number:,} recordings" for name, number in evaluation.unknown]),
    ]
    if evaluation.converted:
        lines.append(f"converted  {evaluation.converted:,} clips were padded, cut, resampled or mixed down to one second")
    lines += _some("unreadable", [file.problem for file in evaluation.unreadable])
    lines += _some("NOT EXACT ", [f"{clip.file}: {clip.difference}" for clip in evaluation.wrong])
    return lines


def _of(score: Score, number: int) -> str:
    return f"{_percent(score.share(number)) or 'none'} ({number:,} of {score.clips:,})"


def _costs(evaluation: Evaluation) -> list[str]:
    if evaluation.profile is None:
        return []
    totals = evaluation.profile.totals
    cycles, instructions = evaluation.an_inference(totals.cycles), evaluation.an_inference(totals.instructions)
    return [
        f"cost       {cycles:,.0f} modelled {evaluation.core} cycles ({evaluation.profile.memory} memory) and {instructions:,.0f} instructions an inference, mean",
        f"speed      {evaluation.clips_a_second:,.0f} clips a second here, {evaluation.seconds:.2f} s in all",
    ]


def _some(head: str, lines: list[str]) -> list[str]:
    more = [f"{head} and {len(lines) - _NAMED:,} more; --json names all"] if len(lines) > _NAMED else []
    return [f"{head} {line}" for line in lines[:_NAMED]] + more


def _document(evaluation: Evaluation) -> dict[str, object]:
    score, profile = evaluation.score, evaluation.profile
    return {
        "schema": SCHEMA, "core": evaluation.core, **evaluation.about, "folder": evaluation.folder, "trained": evaluation.trained,
        "clips": score.clips, "planned": evaluation.planned, "available": evaluation.available, "interrupted": evaluation.interrupted,
        "bit_exact": evaluation.bit_exact, "max_abs_error": evaluation.max_abs_error, **_score(score),
        "words": {word: {"clips": own.clips, **_score(own)} for word, own in evaluation.by_word.items()},
        "confusion": {"labels": list(evaluation.labels), "counts": evaluation.confusion.tolist()},
        "memory": profile and profile.memory,
        "cycles_per_inference": profile and evaluation.an_inference(profile.totals.cycles),
        "instructions_per_inference": profile and evaluation.an_inference(profile.totals.instructions),
        "layers": [{"name": row.name, "kernel": row.kernel, "cycles_per_inference": evaluation.an_inference(row.cycles)}
                   for row in (profile.layers if profile else ())],
        "seconds": evaluation.seconds, "clips_per_second": evaluation.clips_a_second, "converted": evaluation.converted,
        "not_bit_exact": [{"file": clip.file, "difference": clip.difference} for clip in evaluation.wrong],
        "unreadable": [file._asdict() for file in evaluation.unreadable],
        "unknown_folders": [folder._asdict() for folder in evaluation.unknown],
    }


def _score(score: Score) -> dict[str, object]:
    return {"correct": score.correct, "accuracy": score.share(score.correct), "float_correct": score.float_correct,
            "float_accuracy": score.share(score.float_correct), "agreed": score.agreed, "agreement": score.share(score.agreed)}


def _columns(evaluation: Evaluation) -> dict[str, str]:
    """Of a clip's row: name -> Arrow's name of its type."""
    logit = "int64" if evaluation.max_abs_error is None else "double"
    return {**dict.fromkeys(("file", "word", "speaker", "heard"), "string"), **{f"logit_{label}": logit for label in evaluation.labels},
            "correct": "bool", "bit_exact": "bool", "float_heard": "string", "confidence": "double", "difference": "string"}


def _rows(evaluation: Evaluation) -> Iterator[dict[str, object]]:
    logits = [f"logit_{label}" for label in evaluation.labels]
    for clip in evaluation.clips:
        yield {"file": clip.file, "word": clip.word, "speaker": clip.speaker, "heard": clip.heard, **dict(zip(logits, clip.logits, strict=True)),
               "correct": clip.correct, "bit_exact": clip.bit_exact, "float_heard": clip.float_heard, "confidence": round(clip.confidence, 6),
               "difference": clip.difference}
