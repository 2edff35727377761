"""`overparam tool xor-grokking`: find a delayed transition from fitting to generalising in a training log."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from overparam.errors import BadInput

if TYPE_CHECKING:
    import numpy as np

WIDTH = 56
BLOCKS, PLAIN = "▁▂▃▄▅▆▇█", "_.:-=+*#"


def command(
    log: Annotated[Path, typer.Argument(help="Training log: .csv, .tsv, .json or .jsonl.")],
    step: Annotated[str, typer.Option(help="Column of the steps or epochs.")] = "step",
    train: Annotated[str, typer.Option(help="Column of the training accuracy.")] = "train_acc",
    test: Annotated[str, typer.Option(help="Column of the test accuracy; may be empty on some lines.")] = "test_acc",
    fit: Annotated[float, typer.Option(help="Training accuracy that counts as fitted.")] = 1.0,
    good: Annotated[float, typer.Option(help="Test accuracy that counts as generalising.")] = 0.9,
    keep: Annotated[float, typer.Option(help="Part of later lines that has to stay at a level.")] = 0.9,
    hold: Annotated[int, typer.Option(min=1, help="Least number of lines that confirm a level.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Say when a network fitted its training data, when it generalised, and how long it took in between."""
    from overparam.cli.inputs import table

    curves = {"train": table(log, (step, train)), "test": table(log, (step, test))}
    values = {name: (curve[step], curve[{"train": train, "test": test}[name]]) for name, curve in curves.items()}
    document = {"log": str(log), **detect(values["train"], values["test"], fit=fit, good=good, keep=keep, hold=hold)}
    if as_json:
        typer.echo(json.dumps(document, indent=2))
        return
    _print(document, values)


def detect(
    train: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]],
    test: tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]],
    *,
    fit: float = 1.0,
    good: float = 0.9,
    keep: float = 0.9,
    hold: int = 2,
) -> dict[str, Any]:
    """Compute what the command prints.

    Args:
        train: Steps and training accuracy.
        test: Steps and test accuracy.
        fit: Level of the first.
        good: Level of the second.
        keep: As in `level_reached`.
        hold: As in `level_reached`.

    Returns:
        Plain data.

    Raises:
        BadInput: Accuracies in per cent with levels below 1, or steps that do not increase.
    """
    from overparam.methods.measures.grokking import detect_grokking

    for name, level, (_, values) in (("--fit", fit, train), ("--good", good, test)):
        if values.max() > 1.5 and level <= 1:
            raise BadInput(f"accuracies reach {values.max():g} but {name}={level:g}; give {name} {100 * level:g}")
    found = detect_grokking(train[1], test[1], train[0], fit=fit, good=good, test_steps=test[0], keep=keep, hold=hold)
    document: dict[str, Any] = {
        "fit": {"level": fit, "step": found.fit_step, "best": float(train[1].max()), "lines": len(train[0])},
        "good": {"level": good, "step": found.generalise_step, "best": float(test[1].max()), "lines": len(test[0])},
        "delay": found.delay,
        "times": found.generalise_step / found.fit_step if found.generalise_step and found.fit_step else None,
        "test_at_fit": found.test_at_fit,
        "grokked": found.grokked,
    }
    return {**document, "sentence": _sentence(document)}


def _sentence(document: dict[str, Any]) -> str:
    fit, good, delay = document["fit"], document["good"], document["delay"]
    missing = [
        f"the {name} accuracy never keeps {side['level']:g} (best {side['best']:.4g})"
        for name, side in (("training", fit), ("test", good))
        if side["step"] is None
    ]
    if missing:
        return f"No transition: {' and '.join(missing)}."
    between = f"fitted from step {fit['step']:,g} on, test accuracy at {good['level']:g} from step {good['step']:,g} on"
    if delay <= 0:
        return f"No grokking: {between}, so generalising did not come later."
    times = f", {document['times']:.3g} times as many" if document["times"] else ""
    course = (
        f"{between}: {delay:,g} steps later{times}; it was at {document['test_at_fit']:.3g} when the data were fitted"
    )
    return f"Grokking: {course}." if document["grokked"] else f"An ordinary lag: {course}, past half of its way."


def _print(document: dict[str, Any], values: dict[str, tuple[Any, Any]]) -> None:
    from rich.text import Text

    from overparam.cli import screen

    console = screen.console()
    steps = [float(s) for pair in values.values() for s in pair[0]]
    positive = [s for s in steps if s > 0]
    logarithmic = bool(positive) and max(positive) >= 50 * min(positive)
    low, high = (min(positive) if logarithmic else min(steps)), max(steps)
    top = max(float(v) for pair in values.values() for v in pair[1])

    def column(step: float) -> int:
        if high == low or step <= low:
            return 0
        share = math.log(step / low) / math.log(high / low) if logarithmic else (step - low) / (high - low)
        return round(share * (WIDTH - 1))

    for (name, (at, accuracy)), level in zip(values.items(), ("fit", "good"), strict=True):
        line = _sparkline([column(s) for s in at], accuracy, top, PLAIN if screen.plain() else BLOCKS)
        reached = document[level]["step"]
        note = "not kept" if reached is None else f"{document[level]['level']:g} from {reached:,g}"
        console.print(Text.assemble((f"{name:<6}", screen.DIM), line, (f"  {note}", screen.DIM)))
    ends = f"{low:,g}", f"{high:,g}"
    axis = ends[0] + ends[1].rjust(WIDTH - len(ends[0]))
    console.print(Text(f"{'step':<6}{axis}{'  log scale' if logarithmic else ''}\n", style=screen.DIM))
    colour = screen.COLOURS["reproduced"] if document["grokked"] else ""
    head, _, rest = document["sentence"].partition(":")
    console.print(Text.assemble((f"{head}:", f"bold {colour}".strip()), rest))


def _sparkline(columns: list[int], values: Any, top: float, signs: str) -> str:
    """Mean of the values in each column, by height; a column without a line shows the one before."""
    sums: dict[int, list[float]] = {}
    for place, value in zip(columns, values, strict=True):
        sums.setdefault(place, []).append(float(value))
    drawn, last = "", " "
    for place in range(WIDTH):
        if place in sums:
            mean = sum(sums[place]) / len(sums[place])
            last = signs[min(len(signs) - 1, max(0, round(mean / top * (len(signs) - 1))))] if top > 0 else signs[0]
        drawn += last
    return drawn
