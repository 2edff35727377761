"""`overparam examine`: the check-up of your own model."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from overparam.errors import BadInput

if TYPE_CHECKING:
    from overparam.cli.meter import Meter
    from overparam.examine import Examination

HINT = "Ctrl-C stops; nothing is written then."


def examine_model(
    target: Annotated[
        str, typer.Argument(help="module:function or file.py:function that returns (model, loss, training data).")
    ],
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(help="State of the model, in the order of training; may be repeated, the last is examined."),
    ] = None,
    max_seconds: Annotated[float, typer.Option(help="Budget; the report says what did not fit.")] = 120.0,
    max_examples: Annotated[int, typer.Option(min=3, help="Training examples to look at, drawn at random.")] = 20_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of samples and directions.")] = 0,
    output: Annotated[
        Path | None, typer.Option(help="Report; JSON and CSV lie beside it. By default ./report/examine-NAME.html.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Examine your own trained model: wrong labels, memorisation, coherence, curvature, sharpness, norms."""
    if not max_seconds > 0:
        raise BadInput(f"--max-seconds {max_seconds:g}: give a positive number of seconds")
    from overparam.examine import examine, load_subject

    subject = load_subject(target, checkpoint or ())
    words = re.sub(r"[^a-z0-9]+", "-", Path(target.replace(":", "-").replace(".py", "")).name.lower()).strip("-")
    path = output or Path("report") / f"examine-{words or 'model'}.html"
    with _Display(subject.name, max_seconds) as shown:
        found = examine(subject, max_seconds=max_seconds, max_examples=max_examples, seed=seed, listen=shown.hear)
    found.save(path)
    if as_json:
        typer.echo(json.dumps(found.document(), indent=2))
    else:
        _print(found, path)
    if any(section.state == "failed" for section in found.sections):
        raise typer.Exit(1)


class _Display:
    """Shows which section runs, on stderr."""

    def __init__(self, name: str, seconds: float) -> None:
        from overparam.cli import screen
        from overparam.cli.meter import Meter
        from overparam.examine.examination import SHARES
        from overparam.lab.wording import duration

        title = f"Examining {name} · at most {duration(seconds)}"
        self._meter: Meter = Meter(
            title, "", dict.fromkeys(SHARES, 1), screen.console(stderr=True), unit="parts", hint=HINT
        )

    def __enter__(self) -> _Display:
        self._meter.__enter__()
        return self

    def __exit__(self, *_error: object) -> None:
        self._meter.__exit__(None, None, None)

    def hear(self, key: str, state: str) -> None:
        """Advance.

        Args:
            key: Section.
            state: Empty when it begins.
        """
        if state:
            self._meter.done(key, 1)
        else:
            self._meter.note(key, "now")


def _print(found: Examination, path: Path) -> None:
    from rich.text import Text

    from overparam.cli import screen
    from overparam.lab.wording import duration

    console = screen.console()
    words = {"partly": "cut short", "skipped": "skipped", "failed": "failed"}
    console.print()
    for section in found.sections:
        state = words.get(section.state, "")
        head = Text(section.title, style="bold")
        head.append(f"  {state}" if state else "", style=screen.COLOURS["failed" if state == "failed" else "running"])
        head.append(f"  {duration(section.seconds)}", style=screen.DIM)
        console.print(head)
        for text, style in ((section.finding, ""), (section.reason, screen.DIM)):
            if text:
                console.print(Text(text, style=style))
        console.print()
    console.print(
        Text(
            f"{found.examples:,} of {found.total:,} examples, {duration(found.seconds)} wall. Report {path}",
            style=screen.DIM,
        )
    )
