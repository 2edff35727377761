"""`overparam tool generalization-dynamics`: will training go on for too long, and when to stop."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from overparam.errors import BadInput

app = typer.Typer(help="Overtraining of linear and wide networks: how much, when to stop, which ridge.")
Loss = Literal["mean", "sum"]
CURVE, BAR = 9, 24
LITTLE, SOME = 0.01, 0.1  # rise of the error that is worth a word

LearningRate = Annotated[float | None, typer.Option("--lr", help="Learning rate; a tenth of the limit if not given.")]
LossOption = Annotated[Loss, typer.Option(help="mean: of squares, as torch's MSELoss; sum: half the sum of squares.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


@app.command()
def predict(
    samples: Annotated[int, typer.Option(min=1, help="Training samples.")],
    inputs: Annotated[int, typer.Option(min=1, help="Inputs of a linear model, or trained output weights.")],
    snr: Annotated[float, typer.Option(help="Variance of the signal in the targets over that of the noise.")],
    inr: Annotated[float, typer.Option(help="Variance of outputs at the start over that of the noise.")] = 0.0,
    lr: LearningRate = None,
    loss: LossOption = "mean",
    input_variance: Annotated[float, typer.Option(help="Variance of one input.")] = 1.0,
    as_json: Json = False,
) -> None:
    """Predict overtraining, stopping time and ridge from sizes and noise, for inputs without correlations."""
    document = prediction(samples, inputs, snr, inr=inr, lr=lr, loss=loss, input_variance=input_variance)
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        _print_prediction(document)


@app.command()
def data(
    features: Annotated[Path, typer.Argument(help="Features (samples, weights): .npy, .npz, .csv, .tsv or .txt.")],
    labels: Annotated[Path, typer.Argument(help="One number a sample, in the same formats.")],
    lr: LearningRate = None,
    loss: LossOption = "mean",
    folds: Annotated[int, typer.Option(min=2, help="Folds of the cross-validation.")] = 5,
    centre: Annotated[bool, typer.Option(help="Remove means, as an intercept does.")] = True,
    as_json: Json = False,
) -> None:
    """Examine features and labels: spectrum, signal-to-noise ratio, stopping time by exact gradient flow."""
    from overparam.cli import inputs

    document = examination(
        inputs.array(features, dimensions=2), inputs.array(labels, dimensions=1), lr=lr, loss=loss, folds=folds,
        centre=centre,
    )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        _print_examination(document)


def prediction(
    samples: int, inputs: int, snr: float, *, inr: float = 0.0, lr: float | None = None, loss: Loss = "mean",
    input_variance: float = 1.0,
) -> dict[str, Any]:  # fmt: skip
    """Compute what `predict` prints. Errors are in units of the variance of the signal.

    Args:
        samples: Training samples.
        inputs: Inputs.
        snr: Variance of the signal over that of the noise.
        inr: Variance of outputs at the start over that of the noise.
        lr: Learning rate, or None.
        loss: Mean of squares, or half their sum.
        input_variance: Of one input.

    Returns:
        Plain data; an infinite error is None.

    Raises:
        BadInput: A number out of range, or a learning rate with which gradient descent diverges.
    """
    import numpy as np

    from overparam.methods.theory.linear_dynamics import (
        generalization_error,
        optimal_ridge_error,
        optimal_stopping,
        training_error,
    )
    from overparam.methods.theory.marchenko_pastur import edges

    if samples < 1 or inputs < 1:
        raise BadInput(f"samples={samples}, inputs={inputs}: give at least one of each")
    if not 0 < input_variance < math.inf:
        raise BadInput(f"input_variance={input_variance} is no variance; give a positive number")
    alpha, length = samples / inputs, inputs * input_variance
    best = optimal_stopping(alpha, snr, inr)
    low, high = edges(alpha)
    step = _step(lr, loss, samples, high * length) * length
    times = np.concatenate([[0.0], np.geomspace(best.time / 10, best.time * 1000, CURVE)])
    test, train = (f(times, alpha, snr, inr) for f in (generalization_error, training_error))
    end = float(generalization_error(math.inf, alpha, snr, inr))
    return {
        "samples": samples, "inputs": inputs, "alpha": alpha, "snr": snr, "inr": inr, "loss": loss,
        "learning_rate": step / length / _factor(loss, samples),
        "limit": 2 / (high * length * _factor(loss, samples)),
        "start": float(test[0]),
        "stop": {"time": best.time, "steps": math.ceil(best.time / step), "error": best.error},
        "end": end if math.isfinite(end) else None,
        "overtraining": end / best.error - 1 if math.isfinite(end) else None,
        "ridge": {"penalty": length / snr, "error": optimal_ridge_error(alpha, snr)},
        "spectrum": {
            "frozen_fraction": max(0.0, 1 - alpha), "smallest_nonzero": low * length, "largest": high * length,
        },
        "curve": [
            {"time": float(t), "steps": round(t / step), "test": float(a), "train": float(b)}
            for t, a, b in zip(times, test, train, strict=True)
        ],
    }  # fmt: skip


def examination(
    features: Any, labels: Any, *, lr: float | None = None, loss: Loss = "mean", folds: int = 5, centre: bool = True
) -> dict[str, Any]:
    """Compute what `data` prints.

    Args:
        features: (P, N).
        labels: (P,).
        lr: Learning rate, or None.
        loss: Mean of squares, or half their sum.
        folds: Of the cross-validation.
        centre: Whether means are removed.

    Returns:
        Plain data; an infinite time or ratio is None.

    Raises:
        BadInput: Shapes that do not fit, or a learning rate with which gradient descent diverges.
    """
    import numpy as np

    from overparam.methods.theory.early_stopping import estimate_signal, validated_stopping
    from overparam.methods.theory.gradient_flow import SpectralFit, spectrum_report
    from overparam.methods.theory.linear_dynamics import optimal_stopping
    from overparam.methods.theory.marchenko_pastur import empirical_spectrum

    signal = estimate_signal(features, labels, centre=centre)
    chosen = validated_stopping(features, labels, folds=folds, centre=centre)
    h, y = (features - features.mean(0), labels - labels.mean()) if centre else (features, labels)
    report, fit = spectrum_report(h), SpectralFit(h, y)
    step = _step(lr, loss, len(h), report.largest)
    scale = float((h**2).sum()) / len(h)
    values = np.zeros(h.shape[1])
    values[: report.rank] = fit.eigenvalues[fit.eigenvalues > 0][: report.rank]
    white = optimal_stopping(len(h) / h.shape[1], signal.snr, spectrum=empirical_spectrum(values / scale))
    return {
        "spectrum": report._asdict() | {"centred": centre},
        "signal": {k: _finite(v) for k, v in signal._asdict().items()},
        "loss": loss, "learning_rate": step / _factor(loss, len(h)),
        "limit": 2 / (report.largest * _factor(loss, len(h))),
        "stop": {
            "time": _finite(chosen.time), "error": chosen.error, "at_the_end": chosen.final,
            "at_the_start": chosen.start,
            "steps": math.ceil(chosen.time / step) if math.isfinite(chosen.time) else None, "folds": folds,
        },
        "white_inputs": {"time": white.time / scale, "steps": math.ceil(white.time / scale / step)},
        "ridge": {"penalty": _finite(signal.ridge)},
    }  # fmt: skip


def _factor(loss: Loss, samples: int) -> float:
    """Gradient of the loss over that of half the sum of squares."""
    return 2 / samples if loss == "mean" else 1.0


def _step(lr: float | None, loss: Loss, samples: int, largest: float) -> float:
    """The learning rate on half the sum of squares that makes the same steps."""
    from overparam.methods.theory.gradient_flow import check_step

    if loss not in ("mean", "sum"):
        raise BadInput(f"loss={loss!r} is unknown; give mean or sum")
    limit = 2 / (largest * _factor(loss, samples))
    if lr is None:
        return 0.2 / largest
    check_step(lr, limit)
    return lr * _factor(loss, samples)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _verdict(rise: float | None) -> str:
    if rise is None:
        return "Overtrains without end: samples and weights are as many, and the error grows as the root of time."
    words = "Hardly overtrains" if rise < LITTLE else "Overtrains somewhat" if rise < SOME else "Overtrains badly"
    return f"{words}: trained to the end the test error is {1 + rise:.3g} times its least value."


def _print_prediction(document: dict[str, Any]) -> None:
    from rich.text import Text

    from overparam.cli import screen

    console, stop, spectrum = screen.console(), document["stop"], document["spectrum"]
    console.print(Text(_verdict(document["overtraining"]), style="bold"))
    rows = [
        ("Stop after", f"{stop['steps']:,} steps at lr {document['learning_rate']:.3g} (time {stop['time']:.3g})"),
        ("Error then", f"{stop['error']:.4g}, before training {document['start']:.4g}"),
        ("Best ridge", f"{document['ridge']['penalty']:.4g}, error {document['ridge']['error']:.4g}"),
        ("Frozen", f"{spectrum['frozen_fraction']:.1%} of the weights' directions"),
        ("Limit of lr", f"{document['limit']:.4g}, above it gradient descent diverges"),
    ]
    console.print(_facts(rows))
    table = screen.columns(("Steps", "right"), ("Time", "right"), ("Training", "right"), ("Test", "right"), ("", ""))
    top = max(point["test"] for point in document["curve"])
    for point in document["curve"]:
        bar = ("#" if screen.plain() else "▇") * max(1, round(BAR * point["test"] / top))
        table.add_row(
            f"{point['steps']:,}", f"{point['time']:.3g}", f"{point['train']:.3g}", f"{point['test']:.3g}",
            Text(bar, style=screen.DIM),
        )  # fmt: skip
    console.print(table)
    note = (
        "Errors in units of the signal's variance, noise of the test labels included. Ridge: penalty |w|²/2 on half "
        "the sum of squares. Inputs are taken to be independent; for features of your own use `data`."
    )
    console.print(Text("\n" + note, style=screen.DIM))


def _facts(rows: list[tuple[str, str]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    from overparam.cli import screen

    table = Table.grid(padding=(0, 2, 0, 0))
    for name, words in rows:
        table.add_row(Text(name, style=screen.DIM), Text(words))
    return table


def _print_examination(document: dict[str, Any]) -> None:
    from rich.text import Text

    from overparam.cli import screen

    console = screen.console()
    spectrum, signal, stop = document["spectrum"], document["signal"], document["stop"]
    console.print(Text(_verdict(stop["at_the_end"] / stop["error"] - 1), style="bold"))
    rate = f"at lr {document['learning_rate']:.3g}"
    when = "train to the end" if stop["time"] is None else f"{stop['steps']:,} steps {rate} (time {stop['time']:.3g})"
    errors = f"{stop['error']:.4g}, at the end {stop['at_the_end']:.4g}, before training {stop['at_the_start']:.4g}"
    white = document["white_inputs"]
    high = "∞" if signal["high"] is None else f"{signal['high']:.3g}"
    rows = [
        ("Stop after", f"{when}; {stop['folds']}-fold cross-validation"),
        ("Error then", errors),
        ("For white inputs", f"{white['steps']:,} steps, by the theory at this spectrum and ratio"),
        ("Signal to noise", f"{signal['snr']:.3g} [{signal['low']:.3g}, {high}], by maximum likelihood"),
        ("Best ridge", f"{signal['ridge']:.4g} = variance of noise / of a weight"),
        ("Rank", f"{spectrum['rank']:,} of {spectrum['weights']:,} weights, {spectrum['samples']:,} samples"),
        ("Frozen", f"{spectrum['frozen_fraction']:.1%} of the weights' directions"),
        ("Eigenvalues", f"{spectrum['smallest_nonzero']:.3g} (smallest above zero) to {spectrum['largest']:.3g}"),
        ("Limit of lr", f"{document['limit']:.4g}, above it gradient descent diverges"),
    ]
    console.print(_facts(rows))
    note = (
        "The ratio supposes weights of equal variance, and counts as noise what features cannot express. The "
        "cross-validation supposes neither. Where both stopping times differ widely, inputs are far from white."
    )
    console.print(Text("\n" + note, style=screen.DIM))
    if signal["low"] == 0:
        console.print(Text("\nThe data are compatible with no signal at all.", style=screen.COLOURS["partly"]))
