"""`overparam tool unsupervised-pretraining`: how many unlabelled and labelled examples pretraining needs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from overparam.errors import BadInput

if TYPE_CHECKING:
    from overparam.methods.theory.pretraining_plan import PretrainingPlan

LABELS = (10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)


def command(
    unlabelled: Annotated[Path | None, typer.Option(help="Your unlabelled inputs, (m, d): .npy, .csv, ...")] = None,
    labelled: Annotated[Path | None, typer.Option(help="Your labelled inputs, (n, d).")] = None,
    responses: Annotated[Path | None, typer.Option(help="Their responses, (n,).")] = None,
    inputs: Annotated[int | None, typer.Option(min=2, help="Without files: number of inputs.")] = None,
    factors: Annotated[int | None, typer.Option(min=1, help="Number of factors; files: chosen by likelihood.")] = None,
    strength: Annotated[float, typer.Option(help="Without files: variance of a factor over that of the noise.")] = 8.0,
    explained: Annotated[float, typer.Option(help="Without files: share of the response explained.")] = 0.7,
    target: Annotated[float, typer.Option(help="Excess error you accept, a share of the variance.")] = 0.02,
    m: Annotated[float, typer.Option("--m", help="Unlabelled inputs; default: those in the file.")] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:  # fmt: skip
    """Predict the error of pretraining and of supervised learning, and the examples that each needs."""
    if (unlabelled is None) == (inputs is None):
        raise BadInput("give either --unlabelled, --labelled and --responses, or --inputs and --factors")
    if unlabelled is not None:
        if labelled is None or responses is None:
            raise BadInput("--unlabelled needs --labelled and --responses beside it")
        plan, variance, found = from_files(unlabelled, labelled, responses, factors)
        m = m or found["unlabelled"]
    else:
        assert inputs is not None
        plan, variance, found = from_numbers(inputs, factors, strength, explained)
        m = m or 100 * inputs
    document = found | predictions(plan, variance, target, m)
    typer.echo(json.dumps(document, indent=2)) if as_json else _print(document)


def from_numbers(
    inputs: int, factors: int | None, strength: float, explained: float
) -> tuple[PretrainingPlan, float, dict[str, Any]]:
    """Plan for factors of equal strength and equal weight.

    Args:
        inputs: d.
        factors: r.
        strength: Variance of a factor in the inputs over that of the noise.
        explained: Share of the response's variance, 1, that the inputs explain.

    Returns:
        The plan, the response's variance, and what is reported.

    Raises:
        BadInput: No number of factors, or a value out of range.
    """
    import numpy as np

    from overparam.methods.theory.pretraining_plan import PretrainingPlan

    if factors is None:
        raise BadInput("--inputs needs --factors beside it")
    if not strength > 0 or not 0 < explained <= 1:
        raise BadInput(f"--strength {strength:g}, --explained {explained:g}: give one above 0, and one in (0, 1]")
    values = np.full(factors, 1 + strength)
    plan = PretrainingPlan(inputs, values, np.sqrt(explained / factors / values), 1 - explained)
    return plan, 1.0, {"inputs": inputs, "factors": factors, "explained": explained}


def from_files(
    unlabelled: Path, labelled: Path, responses: Path, factors: int | None
) -> tuple[PretrainingPlan, float, dict[str, Any]]:
    """Plan estimated from data; all columns are centred first.

    Args:
        unlabelled: File of (m, d).
        labelled: File of (n, d).
        responses: File of (n,).
        factors: r; chosen by held-out likelihood of the unlabelled inputs if None.

    Returns:
        The plan, the response's variance, and what is reported.

    Raises:
        BadInput: Files that cannot be read or do not fit each other.
    """
    from overparam.cli.inputs import array
    from overparam.methods.theory.factor_model import FactorMLE, choose_rank
    from overparam.methods.theory.pretraining_plan import PretrainingPlan

    x, few, y = array(unlabelled, dimensions=2), array(labelled, dimensions=2), array(responses, dimensions=1)
    if few.shape[1] != x.shape[1] or len(few) != len(y):
        raise BadInput(f"{labelled} has shape {few.shape}; {x.shape[1]} columns and {len(y)} rows fit the other files")
    mean = x.mean(0)
    x, few, y = x - mean, few - mean, y - y.mean()
    most = max(1, min(x.shape[1] - 1, len(few) - 3, 40))
    rank = factors or choose_rank(x, range(1, most + 1))
    plan = PretrainingPlan.from_data(FactorMLE(rank, "isotropic").fit(x), few, y)
    told = float((plan.eigenvalues * plan.weight**2).sum())
    variance = told + plan.residual
    return plan, variance, {
        "inputs": x.shape[1], "factors": rank, "explained": told / variance, "unlabelled": len(x), "labelled": len(few)
    }  # fmt: skip


def predictions(plan: PretrainingPlan, variance: float, target: float, m: float) -> dict[str, Any]:
    """Compute what the command prints.

    Args:
        plan: Of the problem.
        variance: Of the response.
        target: Accepted excess, as a share of the variance.
        m: Unlabelled inputs at hand.

    Returns:
        Plain data; excess risks are shares of the variance, unreachable numbers None.
    """
    goal = target * variance

    def number(value: float) -> float | None:
        return value if math.isfinite(value) else None

    rows = [
        {
            "labels": n,
            "pretraining": number(float(plan.excess(m, n)) / variance),
            "supervised": plan.supervised(n) / variance,
            "pays_from_unlabelled": number(plan.crossover(n)),
        }
        for n in LABELS
        if n > plan.rank + 1
    ]
    return {
        "m": m,
        "target": target,
        "reliable_from": plan.reliable_from,
        "labels_needed": number(plan.labelled_needed(goal, m)),
        "labels_needed_supervised": plan.supervised_needed(goal),
        "rows": rows,
    }


def _print(document: dict[str, Any]) -> None:
    from rich.text import Text

    from overparam.cli import screen

    console = screen.console()
    table = screen.columns(
        ("Labels", "right"), ("Pretraining", "right"), ("Supervised", "right"), ("Pretraining pays from", "right")
    )

    def share(value: float | None) -> str:
        return "–" if value is None else f"{100 * value:.2g} %"

    for row in document["rows"]:
        pays = row["pays_from_unlabelled"]
        better = row["pretraining"] is not None and row["pretraining"] < row["supervised"]
        table.add_row(
            f"{row['labels']:,}",
            Text(share(row["pretraining"]), style="bold" if better else ""),
            Text(share(row["supervised"]), style="" if better else "bold"),
            "never" if pays is None else f"{pays:,.0f} unlabelled",
        )
    console.print(
        Text(
            f"{document['inputs']} inputs, {document['factors']} factors, which explain "
            f"{100 * document['explained']:.0f} % of the response; {document['m']:,.0f} unlabelled inputs\n\n"
            "Excess error, as a share of the response's variance"
        )
    )
    console.print(table)
    needed, alone = document["labels_needed"], document["labels_needed_supervised"]
    with_them = f"{needed:,.0f} labels" if needed is not None else "more unlabelled inputs, whatever the labels"
    console.print(
        Text(
            f"\nFor {100 * document['target']:g} %: {with_them} with pretraining, {alone:,.0f} labels without."
            + (
                f"\nThe weakest factor is found from about {document['reliable_from']:,.0f} unlabelled inputs on: with "
                "fewer, these figures are too good."
                if document["reliable_from"] > document["m"]
                else ""
            )
        )
    )
