"""`overparam tool universality-lens`: weight of a hypothesis and regret bound of a Bayesian mixture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from overparam.errors import BadInput

if TYPE_CHECKING:
    import numpy as np

SIZES = (10, 100, 1_000, 10_000, 100_000)


def command(
    divergences: Annotated[Path, typer.Argument(help="KL of each hypothesis from the truth, nats: .npy, .csv, ...")],
    prior: Annotated[Path | None, typer.Option(help="Prior weight of each, positive; default: all alike.")] = None,
    n: Annotated[list[int] | None, typer.Option(help="Numbers of examples; may be repeated.")] = None,
    target: Annotated[float, typer.Option(help="Regret an example that you accept, in nats.")] = 0.01,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:  # fmt: skip
    """Bound what a Bayesian mixture of your models loses against one of them, or against the true law.

    The divergence of a model is its mean log-loss minus that of the reference, on many held-out examples.
    """
    from overparam.cli.inputs import array

    weights = None if prior is None else array(prior, dimensions=1)
    document = bounds(array(divergences, dimensions=1), weights, tuple(n or SIZES), target)
    typer.echo(json.dumps(document, indent=2)) if as_json else _print(document)


def bounds(
    kl: np.ndarray[Any, Any], weights: np.ndarray[Any, Any] | None, sizes: tuple[int, ...], target: float
) -> dict[str, Any]:
    """Compute what the command prints.

    Args:
        kl: (H,) nats, not negative.
        weights: (H,) positive, or None.
        sizes: Numbers of examples.
        target: Accepted regret an example, positive.

    Returns:
        Plain data.

    Raises:
        BadInput: Shapes that do not fit, negative divergences or weights, or a target that is not positive.
    """
    import numpy as np

    from overparam.methods.theory.hypothesis_weight import regret_bound

    mass = np.ones(len(kl)) if weights is None else weights
    if mass.shape != kl.shape or not (mass > 0).all():
        raise BadInput(f"{len(kl)} divergences and {mass.shape} weights: give one positive weight for each")
    if not target > 0 or min(sizes) < 1:
        raise BadInput(f"--target {target:g}, --n {min(sizes)}: give positive numbers")
    log_prior = np.log(mass / mass.sum())
    found = regret_bound(kl, np.array(sizes), log_prior=log_prior)
    high = 1
    while regret_bound(kl, high, log_prior=log_prior).value > target * high and high < 2**60:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        small = regret_bound(kl, middle, log_prior=log_prior).value <= target * middle
        low, high = (low, middle) if small else (middle, high)
    rows = [
        {"n": size, "regret": float(r), "regret_per_example": float(r) / size, "radius": float(e), "weight": float(w)}
        for size, r, e, w in zip(sizes, found.value, found.eps_star, found.weight, strict=True)
    ]
    reached = high < 2**60
    return {"hypotheses": len(kl), "rows": rows, "target": target, "examples_needed": high if reached else None}


def _print(document: dict[str, Any]) -> None:
    from rich.text import Text

    from overparam.cli import screen

    console = screen.console()
    table = screen.columns(
        ("Examples", "right"),
        ("Regret, nats", "right"),
        ("An example", "right"),
        ("Ball radius", "right"),
        ("Its weight", "right"),
    )
    for row in document["rows"]:
        table.add_row(
            f"{row['n']:,}",
            f"{row['regret']:.3g}",
            f"{row['regret_per_example']:.2g}",
            f"{row['radius']:.2g}",
            f"{row['weight']:.2g}",
        )
    console.print(Text(f"Mixture of {document['hypotheses']:,} hypotheses, at most\n"))
    console.print(table)
    needed = document["examples_needed"]
    told = f"{needed:,} examples" if needed else "more examples than can be counted: no hypothesis lies so near"
    console.print(Text(f"\nAt most {document['target']:g} nats an example after {told}."))
