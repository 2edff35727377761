"""Draws the figures of a run."""

from __future__ import annotations

import json

import sqlalchemy as sa

from overparam.lab.experiment import Drawing
from overparam.lab.judge import table
from overparam.lab.registry import Entry
from overparam.ledger import Ledger
from overparam.ledger.schema import figure


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


def keep(entry: Entry, ledger: Ledger, run_id: str) -> list[str]:
    """Draw the figures of a run and store them, so that pages need not draw.

    Args:
        entry: The paper.
        ledger: Where the trials lie and the figures go; those of an earlier call are replaced.
        run_id: The run.

    Returns:
        Names of the figures that are stored.
    """
    import matplotlib.pyplot as plt

    from overparam.lab.report import figure_context

    rows = []
    for position, (name, drawing) in enumerate(draw(entry, ledger, run_id)[0]):
        shown = figure_context(name, drawing)
        table = json.dumps({"columns": shown["columns"], "rows": shown["rows"]})
        words = {"svg": str(shown["svg"]), "caption": shown["caption"], "table_json": table}
        rows.append({"run_id": run_id, "name": name, "position": position, **words})
        plt.close(drawing.figure)  # pyplot keeps every figure otherwise, and a worker lives long
    with ledger.writing() as db:
        db.execute(sa.delete(figure).where(figure.c.run_id == run_id))
        if rows:
            db.execute(sa.insert(figure), rows)
    return [row["name"] for row in rows]
