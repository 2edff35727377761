"""`overparam tool step-law`: learning rate and batch size of a pretraining run."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

import typer

from overparam.errors import BadInput, OverparamError

_SUFFIX = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}
_NUMBER = re.compile(r"(\d[\d,_]*\.?\d*|\.\d+)(?:e([+-]?\d+)|[x×*]10\^?([+-]?\d+))?([kmbgt]?)", re.IGNORECASE)


def parse_count(text: str) -> float:
    """Read a large number as people write it.

    Args:
        text: Such as 7e9, 7B, 7,000,000,000 or 3.5x10^6.

    Returns:
        Its value, positive.

    Raises:
        BadInput: It is no positive number.

    Example:
        >>> parse_count("7B") == parse_count("7e9") == parse_count("7,000,000,000")
        True
    """
    found = _NUMBER.fullmatch(text.strip().replace(" ", ""))
    if not found:
        raise BadInput(f"{text!r} is no number; write 7e9, 7B, 7,000,000,000 or 3.5x10^6")
    digits, exponent, power, suffix = found.groups()
    plain = digits.replace(",", "").replace("_", "")
    value = float(f"{plain}e{exponent or power or 0}") * _SUFFIX[suffix.lower()]
    if not 0 < value < float("inf"):
        raise BadInput(f"{text!r} is not positive and finite; write 7e9, 7B, 7,000,000,000 or 3.5x10^6")
    return value


def command(
    parameters: Annotated[str, typer.Argument(help="Parameters without the vocabulary: 7e9, 7B, 3.5x10^6.")],
    tokens: Annotated[str, typer.Argument(help="Training tokens: 1.4e12, 1.4T.")],
    seq_len: Annotated[int, typer.Option(min=1, help="Tokens in a sequence.")] = 2048,
    law: Annotated[str, typer.Option(help="One law, or all.")] = "all",
    loss: Annotated[float | None, typer.Option(min=0, help="Loss you expect to reach, for laws in the loss.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Predict learning rate and batch size for a pretraining run, by Step Law and its competitors."""
    n, d = parse_count(parameters), parse_count(tokens)
    document = predictions(n, d, seq_len, law, loss)
    if as_json:
        typer.echo(json.dumps(document, indent=2))
        return
    _print(document)


def predictions(n: float, d: float, seq_len: int, only: str, loss: float | None) -> dict[str, Any]:
    """Compute what the command prints.

    Args:
        n: Parameters.
        d: Tokens.
        seq_len: Tokens in a sequence.
        only: Name of a law, or all.
        loss: Expected loss, or None.

    Returns:
        Plain data.

    Raises:
        BadInput: An unknown law.
    """
    from overparam.methods.scaling.laws import FITTED_D, FITTED_N, LAWS

    if only != "all" and only not in LAWS:
        raise BadInput(f"--law {only}: unknown; choose all, {', '.join(LAWS)}")
    rows = [_row(law, n, d, seq_len, loss) for name, law in LAWS.items() if only in ("all", name)]
    outside = [
        f"{name}={value:.3g} lies outside the {low:.2g} to {high:.2g} that Step Law was fitted on"
        for name, value, (low, high) in (("N", n, FITTED_N), ("D", d, FITTED_D))
        if not low <= value <= high
    ]
    return {"parameters": n, "tokens": d, "seq_len": seq_len, "extrapolation": outside, "laws": rows}


def _row(law: Any, n: float, d: float, seq_len: int, loss: float | None) -> dict[str, Any]:
    row: dict[str, Any] = {"law": law.name, "title": law.title, "made_for": law.made_for, "source": law.source}
    if "loss" in law.needs and loss is None:
        return {**row, "lr": None, "batch_tokens": None, "batch_sequences": None, "note": "needs --loss"}
    found = law.predict(n, d, loss=loss)
    row |= {"lr": found.lr, "batch_tokens": found.batch_tokens, "batch_sequences": found.batch_sequences(seq_len)}
    if "C" in law.needs:
        row["note"] = "with C = 6 N D"
    if law.name == "step":
        row |= _interval(n, d)
    return row


def _interval(n: float, d: float) -> dict[str, Any]:
    """95 % interval from the published bootstrap fits, where they are at hand."""
    import warnings

    from overparam import data
    from overparam.data.step_law import load_bootstrap
    from overparam.methods.scaling.step_law import StepLaw

    try:
        if not data.available("step-law"):
            raise OverparamError
        with warnings.catch_warnings(action="ignore"):  # extrapolation is said in words of our own
            found = StepLaw.from_bootstrap(load_bootstrap()).predict(n, d)
    except OverparamError:
        return {
            "lr_interval": None,
            "batch_interval": None,
            "note": "for the interval, put step-law into OVERPARAM_DATA",
        }
    assert found.lr_interval
    assert found.batch_interval
    return {"lr_interval": list(found.lr_interval), "batch_interval": list(found.batch_interval)}


def _print(document: dict[str, Any]) -> None:
    from rich.text import Text

    from overparam.cli import screen
    from overparam.lab.wording import number

    console = screen.console()
    table = screen.columns(
        ("Law", ""), ("Learning rate", "right"), ("Batch, tokens", "right"), ("Sequences", "right"), ("", "wrap")
    )
    for row in document["laws"]:
        known = row["lr"] is not None
        cells = (
            [f"{row['lr']:.3g}", f"{row['batch_tokens']:,.0f}", f"{row['batch_sequences']:,}"] if known else ["–"] * 3
        )
        style = "bold" if row["law"] == "step" else ""
        table.add_row(
            Text(row["title"], style=style), *cells, Text(row.get("note") or row["made_for"], style=screen.DIM)
        )
        if row.get("lr_interval"):
            lr, batch = row["lr_interval"], row["batch_interval"]
            interval = (f"[{lr[0]:.2g}, {lr[1]:.2g}]", f"[{batch[0] / 1e6:.2f}M, {batch[1] / 1e6:.2f}M]")
            table.add_row(
                "", *(Text(t, style=screen.DIM) for t in interval), "", Text("95 % interval", style=screen.DIM)
            )
    console.print(
        Text(
            f"{number(document['parameters'])} parameters, {number(document['tokens'])} tokens, "
            f"sequences of {document['seq_len']:,}\n"
        )
    )
    console.print(table)
    for text in document["extrapolation"]:
        console.print(Text(f"\nExtrapolation: {text}.", style=screen.COLOURS["partly"]))
