"""`overparam tool robust-recovery`: a low-rank matrix from your own measurements, some of them grossly wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from overparam.errors import BadInput, Unavailable

if TYPE_CHECKING:
    import numpy as np

    from overparam.methods.theory.matrix_recovery import Recovery

SHOWN = 12  # measurements that are named
LITTLE, CLEAR_GAP = 0.05, 3.0


def command(
    matrices: Annotated[Path, typer.Argument(help="Measurement matrices A, (m, d, d): .npy or .npz.")],
    measurements: Annotated[Path, typer.Argument(help="Measurements y, (m,): .npy, .npz, .csv, .tsv or .txt.")],
    output: Annotated[Path | None, typer.Option(help="Save the recovered matrix, (d, d): a .npy file.")] = None,
    width: Annotated[int | None, typer.Option(help="Columns of the factor, at least the rank; d if not given.")] = None,
    alpha: Annotated[float, typer.Option(help="Scale of the start; smaller: less error, more steps.")] = 1e-6,
    rho: Annotated[float | None, typer.Option(help="Decay of the steps; chosen from the data if not given.")] = None,
    rank_guess: Annotated[float | None, typer.Option(help="Upper guess of the rank, for the decay.")] = None,
    condition_guess: Annotated[float, typer.Option(help="Upper guess of the condition, with --rank-guess.")] = 1.0,
    steps: Annotated[int | None, typer.Option(help="Steps; until they are 1e-6 if not given.")] = None,
    eta0: Annotated[float, typer.Option(help="First step.")] = 0.2,
    hold_out: Annotated[float, typer.Option(help="Share of measurements to judge by, 0 to 0.5.")] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice which are held out.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Recover a positive semi-definite matrix X of low rank from y_i = <A_i, X> + errors, and name the outliers."""
    from overparam.cli.inputs import array
    from overparam.methods.theory.matrix_recovery import recover
    from overparam.methods.theory.symmetric_sensing import SymmetricSensing

    if output is not None and output.suffix != ".npy":
        raise BadInput(f"--output {output}: give a file name that ends in .npy")
    a, y = array(matrices, dimensions=3), array(measurements, dimensions=1)
    if a.shape[1] != a.shape[2]:
        raise BadInput(f"{matrices} has shape {a.shape}; give (m, d, d), one square matrix a measurement")
    if len(a) != len(y):
        raise BadInput(f"{matrices} has {len(a)} matrices and {measurements} has {len(y)} numbers; give one each")
    found = recover(
        SymmetricSensing(a, y), width=width, alpha=alpha, eta0=eta0, rho=rho, rank_guess=rank_guess,
        condition_guess=condition_guess, steps=steps, hold_out=hold_out, rng=seed,
    )  # fmt: skip
    document = described(found) | {"alpha": alpha, "width": width or a.shape[1], "eta0": eta0, "hold_out": hold_out}
    if output is not None:
        _save(output, found.matrix)
        document["output"] = str(output)
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        _print(document)


def described(found: Recovery) -> dict[str, Any]:
    """Put a recovery into plain data.

    Args:
        found: What `recover` returned.

    Returns:
        Numbers, lists and words of advice.
    """
    import math

    import numpy as np

    advice = []
    if found.unexplained > LITTLE:
        advice.append(
            "much is left unexplained: noise on every measurement, too few measurements, eigenvalues too small to have "
            "grown (raise --rank-guess and --condition-guess), or a matrix that is not positive semi-definite"
        )
    if found.gap < CLEAR_GAP:
        advice.append("no gap between eigenvalues stands out, so the rank is a guess")
    if math.isnan(found.held_out_scale):
        advice.append("nothing was held out: small residuals may come from fitting too few measurements")
    return {
        "d": len(found.matrix),
        "measurements": len(found.outliers),
        "rank": found.rank,
        "gap": found.gap,
        "eigenvalues": found.eigenvalues.tolist(),
        "norm": float(np.linalg.norm(found.matrix)),
        "unexplained": found.unexplained,
        "fitted_scale": found.fitted_scale,
        "held_out_scale": None if math.isnan(found.held_out_scale) else found.held_out_scale,
        "step_floor": found.step_floor,
        "loss": found.loss,
        "outlier_share": found.outlier_share,
        "outliers": np.flatnonzero(found.outliers).tolist(),
        "rho": found.rho,
        "steps": found.steps,
        "advice": advice,
    }


def _save(path: Path, matrix: np.ndarray[Any, Any]) -> None:
    import numpy as np

    try:
        np.save(path, matrix, allow_pickle=False)
    except OSError as error:
        raise Unavailable(f"--output {path} cannot be written ({error}); give a file in a folder that exists") from None


def _print(document: dict[str, Any]) -> None:
    from rich.text import Text

    from overparam.cli import screen

    console = screen.console()
    d, norm, rank = document["d"], document["norm"], document["rank"]
    values = document["eigenvalues"]
    shown = ", ".join(f"{v:.4g}" for v in values[:rank][:SHOWN]) + (", …" if rank > SHOWN else "")
    held = document["held_out_scale"]
    outliers = document["outliers"]
    table = screen.columns(("", ""), ("", "wrap"))
    table.show_header = False
    named = f"{', '.join(map(str, outliers[:SHOWN]))}{', …' if len(outliers) > SHOWN else ''}"
    rows = [
        ("Effective rank", f"{rank} of {d}, before a gap of {document['gap']:.3g} times"),
        ("Eigenvalues", shown),
        (
            "Error, estimated",
            f"{held:.2g}, {held / norm:.2g} of the norm {norm:.4g}; noise on every measurement counts, too"
            if held is not None
            else f"unknown, residuals of the fit: {document['fitted_scale']:.2g}",
        ),
        ("Error floor", f"{document['step_floor']:.1g} from the size of the last step"),
        (
            "Outliers",
            f"{document['outlier_share']:.1%} of {document['measurements']:,}" + (f": {named}" if outliers else ""),
        ),
        ("Descent", f"start {document['alpha']:g}, decay {document['rho']:.5f}, {document['steps']:,} steps"),
    ]
    for name, words in rows:
        table.add_row(Text(name, style=screen.DIM), Text(words))
    console.print(table)
    for text in document["advice"]:
        console.print(Text(f"\nNote: {text}.", style=screen.COLOURS["partly"]))
    if "output" in document:
        console.print(Text(f"\nSaved to {document['output']}."))
