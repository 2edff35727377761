"""The examination as a whole: its order, its budget, and what it promises about the user's model."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from overparam.errors import BadInput, OverparamError, Unavailable
from overparam.examine.agreement import agreement
from overparam.examine.bench import Bench, prepare
from overparam.examine.bounds import bounds
from overparam.examine.budget import Budget
from overparam.examine.curvature import curvature
from overparam.examine.examples import random_state_kept
from overparam.examine.flatness import flatness
from overparam.examine.memorised import memorised
from overparam.examine.section import Section
from overparam.examine.subject import Subject
from overparam.examine.wrong_labels import wrong_labels
from overparam.lab.plots import style

SHARES = {
    "reading": 15.0, "wrong_labels": 20.0, "memorised": 15.0, "agreement": 15.0, "curvature": 20.0, "flatness": 5.0,
    "bounds": 10.0,
}  # fmt: skip
Listen = Callable[[str, str], None]


@dataclass(frozen=True)
class Examination:
    """What was found.

    Attributes:
        name: Of the model.
        examples: Examples looked at.
        total: Examples in the data set.
        parameters: Trainable weights.
        seconds: Wall time.
        max_seconds: What was allowed.
        seed: Of all that was drawn.
        sections: In order.
        scores: CSV of all examples: position, label, probability of the label, suggested class, memorisation.
    """

    name: str
    examples: int
    total: int
    parameters: int
    seconds: float
    max_seconds: float
    seed: int
    sections: Sequence[Section]
    scores: str

    def __getitem__(self, key: str) -> Section:
        """Return a section by its key."""
        for section in self.sections:
            if section.key == key:
                return section
        raise KeyError(key)

    def document(self) -> dict[str, Any]:
        """Return everything as plain data."""
        from overparam.lab.provenance import provenance

        return {
            "subject": self.name,
            "examples": self.examples,
            "of": self.total,
            "parameters": self.parameters,
            "seconds": round(self.seconds, 2),
            "max_seconds": self.max_seconds,
            "seed": self.seed,
            "sections": [
                {
                    "key": s.key, "title": s.title, "state": s.state, "seconds": round(s.seconds, 2),
                    "finding": s.finding, "uncertainty": s.uncertainty, "reading": s.reading, "reason": s.reason,
                    "paper": s.paper, "numbers": s.numbers,
                }
                for s in self.sections
            ],
            "provenance": provenance(),
        }  # fmt: skip

    def save(self, path: str | Path) -> Path:
        """Write the report as one HTML file, with the numbers beside it as .json and all scores as .csv.

        Args:
            path: Of the HTML file.

        Returns:
            The same.

        Raises:
            Unavailable: It cannot be written.
        """
        from overparam.examine.report import render

        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(render(self, path.with_suffix(".csv").name), encoding="utf-8")
            path.with_suffix(".json").write_text(json.dumps(self.document(), indent=1) + "\n", encoding="utf-8")
            path.with_suffix(".csv").write_text(self.scores, encoding="utf-8")
        except OSError as error:
            raise Unavailable(f"report {path} cannot be written ({error.strerror}); choose another place") from error
        return path


def examine(
    subject: Subject,
    *,
    max_seconds: float = 120.0,
    max_examples: int = 20_000,
    seed: int = 0,
    listen: Listen | None = None,
) -> Examination:
    """Examine a trained model within a budget of time.

    Works on a private copy in evaluation mode: weights, buffers, gradients and modes of the model are left as they
    were, and so are the global random states of Python, NumPy and torch. Each section has its share of the time; what
    one leaves over the next may use. A section that runs out of time says what it left out; one that fails says why,
    and the others go on.

    Args:
        subject: Model, loss and data.
        max_seconds: Budget. Below a few seconds little more than a sample is looked at.
        max_examples: Examples at most, drawn at random.
        seed: Of samples and directions.
        listen: Hears the key of a section when it begins, and its state when it ends.

    Returns:
        The examination.

    Raises:
        BadInput: A budget or a number that is not positive, or a subject that does not fit together.
    """
    if not max_seconds > 0 or max_examples < 3:
        raise BadInput(f"max_seconds={max_seconds}, max_examples={max_examples}: pass a positive time and 3 examples")
    started, hear = time.monotonic(), listen or (lambda _key, _state: None)
    budget = Budget(max_seconds, SHARES)
    with random_state_kept(), style():
        hear("reading", "")
        bench = prepare(subject, limit=max_examples, seed=seed, deadline=budget.deadline("reading"))
        hear("reading", "done")
        top: list[Tensor | None] = [None]

        def bend(deadline: float) -> Section:
            section, top[0] = curvature(bench, deadline)
            return section

        works: dict[str, Callable[[float], Section]] = {
            "wrong_labels": lambda deadline: wrong_labels(bench, deadline),
            "memorised": lambda deadline: memorised(bench, deadline),
            "agreement": lambda deadline: agreement(bench, deadline),
            "curvature": bend,
            "flatness": lambda deadline: flatness(bench, deadline, top[0]),
            "bounds": lambda deadline: bounds(bench, deadline),
        }
        sections = []
        for key, work in works.items():
            hear(key, "")
            sections.append(_one(key, work, budget))
            hear(key, sections[-1].state)
    weights = sum(p.numel() for p in bench.model.parameters() if p.requires_grad)
    seconds = time.monotonic() - started
    return Examination(
        subject.name, len(bench.y), bench.examples.total, weights, seconds, max_seconds, seed, sections, _scores(bench)
    )


def _one(key: str, work: Callable[[float], Section], budget: Budget) -> Section:
    start = time.monotonic()
    if budget.left <= 0:
        return Section(key, state="skipped", reason="No time was left; give more seconds.")
    try:
        section = work(budget.deadline(key))
    except OverparamError as error:
        section = Section(key, state="failed", reason=str(error))
    except Exception as error:  # the layers, the loss and the data are the user's and may raise anything
        words = str(error).splitlines()[0] if str(error) else ""
        section = Section(key, state="failed", reason=f"{type(error).__name__}: {words}")
    section.seconds = time.monotonic() - start
    return section


def _scores(bench: Bench) -> str:
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    names = list(bench.columns)
    table.writerow(["position", "label", *names])
    labels = bench.y.numpy() if bench.y.dim() == 1 else np.full(len(bench.y), np.nan)
    for row, position in enumerate(bench.examples.positions.tolist()):
        cells = [bench.columns[n][row] if row < len(bench.columns[n]) else np.nan for n in names]
        shown = ["" if np.isnan(v) else f"{v:.6g}" for v in cells]
        table.writerow([position, f"{labels[row]:g}", *shown])
    return buffer.getvalue()
