"""`overparam tool feature-learning`: the regime of a parametrisation, and a coordinate check of your own model."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from overparam.errors import BadInput

if TYPE_CHECKING:
    from overparam.methods.scaling.abc import ABC
    from overparam.methods.scaling.coord_check import CoordCheck, Parametrisation
    from overparam.methods.scaling.mup import Optimiser

app = typer.Typer(help="Does a network keep learning features as it grows?", no_args_is_help=True)
JSON = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
MEANINGS = {
    "feature": "features are learned at every width",
    "kernel": "a kernel machine in the limit: features stop moving",
    "trivial": "the function stops moving as the width grows",
    "unstable": "activations, outputs or their changes blow up as the width grows",
}
READINGS = {
    "steady": "moves alike at every width",
    "freezes": "moves less, the wider the model",
    "grows": "moves more, the wider the model",
    "unknown": "no slope, as a width diverged or nothing moved",
}


@app.command()
def regime(
    a: Annotated[str, typer.Option(help="Exponents of the multipliers, first layer to readout: -0.5,0,0.5.")] = "",
    b: Annotated[str, typer.Option(help="Exponents of the initial deviations: 0.5,0.5,0.5.")] = "",
    c: Annotated[float, typer.Option(help="Exponent of the learning rate.")] = 0.0,
    depth: Annotated[int, typer.Option(min=1, help="Hidden layers of the known ones, listed without --a.")] = 2,
    as_json: JSON = False,
) -> None:
    """Name the regime of weights n^-a w, w ~ N(0, n^-2b), trained by SGD at the rate eta n^-c."""
    from overparam.methods.scaling.abc import ABC

    if bool(a) != bool(b):
        raise BadInput("--a and --b go together; give both, or none to list the known parametrisations")
    if a:
        family = {"given": ABC(_exponents(a, "--a"), _exponents(b, "--b"), c)}
    else:
        family = {"SP": ABC.sp(depth, c=0), "SP, c = 1": ABC.sp(depth), "NTK": ABC.ntk(depth), "muP": ABC.mup(depth)}
        family |= {"mean field": ABC.mean_field()} if depth == 1 else {}
    rows = [describe(name, abc) for name, abc in family.items()]
    if as_json:
        typer.echo(json.dumps(rows[0] if a else rows, indent=2))
        return
    _print_regimes(rows)


def _exponents(text: str, option: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        raise BadInput(f"{option} {text}: give numbers with commas between them, such as -0.5,0,0.5") from None


def describe(name: str, abc: ABC) -> dict[str, Any]:
    """Say what follows from the exponents of a parametrisation.

    Args:
        name: What to call it.
        abc: The parametrisation.

    Returns:
        Plain data; `movement` holds, layer by layer and then for the output, the powers of n by which changes scale,
        or None where they grow.
    """
    kind = abc.regime()
    return {
        "name": name,
        "a": list(abc.a),
        "b": list(abc.b),
        "c": abc.c,
        "regime": kind,
        "meaning": MEANINGS[kind],
        "stable": abc.stable(),
        "nontrivial": abc.stable() and abc.nontrivial(),
        "r": abc.r(),
        "starts_at_zero": abc.starts_at_zero(),
        "movement": [0.0 - e for e in (*abc.movement_exponents(), abc.output_exponent())] if abc.stable() else None,
    }


def _print_regimes(rows: list[dict[str, Any]]) -> None:
    from rich.text import Text

    from overparam.cli import screen

    console = screen.console()
    deepest = max(len(row["a"]) for row in rows)
    layers = [f"h{k}" for k in range(1, deepest)]
    heads = [("Name", ""), ("Regime", ""), ("r", "right"), *((h, "right") for h in (*layers, "output"))]
    table = screen.columns(*heads)
    for row in rows:
        moves = [f"{e:+.2f}".replace("-", "−") if e else "0" for e in row["movement"] or ()]
        table.add_row(row["name"], Text(row["regime"], style="bold"), f"{row['r']:g}".replace("-", "−"), *moves)
    console.print(table)
    console.print()
    for kind in dict.fromkeys(row["regime"] for row in rows):
        console.print(Text(f"{kind}: {MEANINGS[kind]}.", style=screen.DIM))
    words = "Right: the change of hidden layers and output in a few steps scales as n to this power."
    console.print(Text(words, style=screen.DIM))


@app.command("coord-check")
def check(
    target: Annotated[str, typer.Argument(help="module:function or file.py:function; width to (model, loss, data).")],
    widths: Annotated[str, typer.Option(help="Widths, with commas between them.")] = "64,128,256,512",
    lr: Annotated[float, typer.Option(min=0, help="Learning rate at the smallest width.")] = 0.1,
    optimizer: Annotated[str, typer.Option(help="sgd, adam or adamw.")] = "sgd",
    steps: Annotated[int, typer.Option(min=1, help="Steps on one batch.")] = 3,
    seeds: Annotated[int, typer.Option(min=1, help="Draws of the initial weights.")] = 3,
    batch: Annotated[int, typer.Option(min=1, help="Examples in the batch.")] = 64,
    as_json: JSON = False,
) -> None:
    """Train your model at several widths for a few steps, as it is and under maximal updates, and compare."""
    document = checked(target, _whole(widths), lr, optimizer, steps, seeds, batch)
    if as_json:
        typer.echo(json.dumps(document, indent=2))
        return
    _print_check(document)


def _whole(text: str) -> list[int]:
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise BadInput(f"--widths {text}: give whole numbers with commas between them, such as 64,128,256") from None


def checked(
    target: str, widths: list[int], lr: float, optimizer: str, steps: int, seeds: int, batch: int
) -> dict[str, Any]:
    """Run the coordinate check in both parametrisations.

    Args:
        target: Place of a function from a width to (model, loss, data).
        widths: Two at least.
        lr: At the smallest width.
        optimizer: Name.
        steps: On one batch.
        seeds: How many.
        batch: Examples.

    Returns:
        Plain data.
    """
    import time

    import torch

    from overparam.examine.examples import Adapted, read
    from overparam.examine.subject import function_at, subject_of
    from overparam.methods.scaling.coord_check import coord_check

    function = function_at(target)
    with torch.random.fork_rng(devices=[]):
        subject = subject_of(function(min(widths)), target)
    examples = read(subject.data, subject.model, limit=batch, seed=0, deadline=time.monotonic() + 60)

    def make(width: int) -> torch.nn.Module:
        return Adapted(subject_of(function(width), target).model, examples.names)

    loss = subject.loss or torch.nn.functional.cross_entropy
    found = {
        kind: coord_check(
            make, widths, (examples.x, examples.y), parametrisation=kind, loss=loss, lr=lr,
            optimizer=cast("Optimiser", optimizer), steps=steps, seeds=range(seeds),
        )
        for kind in cast("tuple[Parametrisation, ...]", ("sp", "mup"))
    }  # fmt: skip
    names = list(found["mup"].slopes())
    return {
        "target": target, "widths": sorted(set(widths)), "lr": lr, "optimizer": optimizer, "steps": steps,
        "layers": [
            {"layer": name.removeprefix("inner."), **{k: _cell(c, name) for k, c in found.items()}} for name in names
        ],
        "unstable_widths": {k: list(c.unstable) for k, c in found.items()},
        "verdict": {k: summary(c) for k, c in found.items()},
    }  # fmt: skip


def _cell(check: CoordCheck, layer: str) -> dict[str, Any]:
    slope, start = check.slopes()[layer], check.start_slopes()[layer]
    return {
        "slope": None if math.isnan(slope) else slope,
        "start_slope": None if math.isnan(start) else start,
        "verdict": check.verdicts()[layer],
    }


def summary(check: CoordCheck) -> str:
    """Say in one sentence what a coordinate check found.

    Args:
        check: The result.

    Returns:
        The sentence.
    """
    if check.unstable:
        return f"unstable: training left the finite numbers at width {', '.join(f'{n:,}' for n in check.unstable)}"
    verdicts = list(check.verdicts().values())
    if "grows" in verdicts:
        return f"unstable: {verdicts.count('grows')} of {len(verdicts)} layers move more, the wider the model"
    if "freezes" in verdicts:
        return f"{verdicts.count('freezes')} of {len(verdicts)} layers stop learning features as the model grows"
    if "unknown" in verdicts:
        return "some layers did not move, or too few widths are stable for a slope"
    return "every layer learns at the same rate at every width"


def _print_check(document: dict[str, Any]) -> None:
    from rich.text import Text

    from overparam.cli import screen

    console = screen.console()
    table = screen.columns(("Layer", ""), ("As it is", "right"), ("", ""), ("Maximal updates", "right"), ("", ""))
    colours = {"steady": "reproduced", "freezes": "partly", "grows": "not reproduced", "unknown": "inconclusive"}
    for row in document["layers"]:
        cells: list[Any] = [row["layer"]]
        for kind in ("sp", "mup"):
            cell = row[kind]
            cells += ["–" if cell["slope"] is None else f"{cell['slope']:+.2f}".replace("-", "−")]
            cells += [Text(cell["verdict"], style=screen.COLOURS[colours[cell["verdict"]]])]
        table.add_row(*cells)
    console.print(table)
    widths = ", ".join(f"{n:,}" for n in document["widths"])
    console.print(Text(f"\nAs it is: {document['verdict']['sp']}."))
    console.print(Text(f"Maximal updates: {document['verdict']['mup']}."))
    words = f"Slope of log change of activations on log width, after {document['steps']} steps at widths {widths}."
    console.print(Text(words, style=screen.DIM))
    for kind in dict.fromkeys(row[k]["verdict"] for row in document["layers"] for k in ("sp", "mup")):
        console.print(Text(f"{kind}: {READINGS[kind]}.", style=screen.DIM))
