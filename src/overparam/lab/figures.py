"""Draws the figures of a run."""

from __future__ import annotations

from overparam.lab.experiment import Drawing
from overparam.lab.judge import table
from overparam.lab.registry import Entry
from overparam.ledger import Ledger


def draw(entry: Entry, ledger: Ledger, run_id: str) -> tuple[list[tuple[str, Drawing]], list[str]]:
    """Draw every figure whose experiment has all its trials.

    Args:
        entry: The paper.
        ledger: Where the trials lie.
        run_id: The run.

    Returns:
        Name and drawing of each figure, and the names of those that miss trials.
    """
    from overparam.lab.plots import style

    counts = ledger.counts(run_id)
    drawn, missing = [], []
    for experiment, function in entry.figures():
        state = counts.get(experiment)
        if state is None:
            continue
        if state["done"] < state["planned"]:
            missing.append(function.__name__)
            continue
        with style():
            drawn.append((function.__name__, function(table(ledger, run_id, experiment))))
    return drawn, missing
