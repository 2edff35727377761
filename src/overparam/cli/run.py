"""`overparam run`: runs a paper, or all of them, and prints the verdicts."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from overparam.errors import BadInput, OverparamError

if TYPE_CHECKING:
    from overparam.cli.meter import Meter
    from overparam.lab.planner import Spec
    from overparam.lab.registry import Entry
    from overparam.ledger import Ledger


def run_paper(
    slug: Annotated[str, typer.Argument(help="Slug of a paper (`overparam list` shows them), or `all`.")],
    scale: Annotated[
        str, typer.Option(help="smoke: seconds; laptop: minutes, real small data; paper: its own setting.")
    ] = "laptop",
    claim: Annotated[list[str] | None, typer.Option(help="Judge only this claim; may be repeated.")] = None,
    engine: Annotated[str, typer.Option(help="processes, inline or ray (RAY_ADDRESS names a cluster).")] = "processes",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Tasks side by side; by default one for each core.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Compute every trial again, cached or not.")] = False,
    max_seconds: Annotated[
        float | None, typer.Option(min=0, help="Stop after so long; the same command goes on.")
    ] = None,
    change: Annotated[list[str] | None, typer.Option("--set", help="Change a parameter: name=value[,value].")] = None,
    sabotage: Annotated[
        bool, typer.Option("--sabotage", help="Break the method on purpose: a verdict must turn.")
    ] = False,
    save: Annotated[
        Path | None, typer.Option(help="Also write JSON and figures to FOLDER/slug/scale.json and FOLDER/slug/scale/.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Try the claims of a paper and judge them. Stop and run again as you like: nothing is computed twice."""
    from overparam.lab.experiment import require_scale
    from overparam.lab.planner import Spec, parse_override
    from overparam.lab.registry import find, papers
    from overparam.ledger import Ledger

    require_scale(scale)
    entries = [e for e in papers().values() if e.runnable] if slug == "all" else [find(slug)]
    if slug == "all" and (claim or change):
        raise BadInput("--claim and --set name things of one paper; give its slug instead of all")
    ledger = Ledger()
    options = {"engine": engine, "workers": workers, "fresh": fresh, "max_seconds": max_seconds}
    documents = []
    problems: list[str] = []
    for entry in entries:
        if not entry.runnable:
            raise BadInput(f"{entry.paper.slug} is not runnable yet: none of its claims has a rule")
        try:
            spec = Spec(entry, require_scale(scale), tuple(claim or ()), sabotage=sabotage)
            for text in change or ():
                spec = parse_override(spec, text)
            document = _run_one(spec, ledger, options, quiet=as_json)
        except OverparamError as error:
            if slug != "all":
                raise
            problems.append(f"{entry.paper.slug}: {error}")
            print(f"overparam: {problems[-1]}", file=sys.stderr)
            continue
        documents.append(document)
        if not as_json:
            _print_run(entry, document)
        _keep(entry, ledger, document, save)
    if as_json:
        typer.echo(json.dumps(documents[0] if slug != "all" else {"runs": documents, "problems": problems}, indent=2))
    elif slug == "all":
        from overparam.cli.read import print_board

        print_board(documents)
    if problems or any(_incomplete(document) for document in documents):
        raise typer.Exit(1)


def _incomplete(document: Mapping[str, Any]) -> bool:
    open_trials = document["trials"]["planned"] - document["trials"]["done"]
    return bool(open_trials or document["failures"])


def _run_one(spec: Spec, ledger: Ledger, options: Mapping[str, Any], *, quiet: bool) -> dict[str, Any]:
    from overparam.lab.document import document
    from overparam.lab.runner import execute

    shown = _Display(spec)
    try:
        run_id = execute(spec, ledger, listener=shown, **options)
    except KeyboardInterrupt:
        shown.close()
        print("Stopped. Everything finished is kept; the same command goes on from here.", file=sys.stderr)
        raise typer.Exit(130) from None
    finally:
        shown.close()
    return document(spec.entry, ledger, run_id)


def _keep(entry: Entry, ledger: Ledger, document: Mapping[str, Any], save: Path | None) -> None:
    """Keep the figures of a run, its evidence where that was asked for, and its weight in the feed."""
    from overparam.feed import trending
    from overparam.lab import evidence, figures

    try:
        figures.keep(entry, ledger, document["run"])
    except Exception as error:  # a figure that cannot be drawn takes nothing from the verdicts
        print(f"overparam: figures of {entry.paper.slug} were not drawn: {error}", file=sys.stderr)
    if save:
        evidence.save(ledger, document, save)
    trending.refresh(ledger, entry.paper.slug)


def _print_run(entry: Entry, document: Mapping[str, Any]) -> None:
    from overparam.cli import screen

    console = screen.console()
    console.print()
    console.print(screen.verdict_table(document, console.width))
    console.print(screen.run_summary(entry, document))


class _Display:
    """Shows the run on stderr while it goes on."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._meter: Meter | None = None

    def planned(self, counts: Mapping[str, Mapping[str, int]], *, resumed: bool) -> None:
        """Open the progress display.

        Args:
            counts: Experiment to planned, done and cached trials.
            resumed: Whether an interrupted run goes on.
        """
        from overparam.cli import screen
        from overparam.cli.meter import Meter
        from overparam.lab.wording import count

        paper = self._spec.entry.paper
        trials = sum(c["planned"] for c in counts.values())
        claims = len(self._spec.judged())
        words = f"{paper.slug} at {self._spec.scale} scale · {count(claims, 'claim')}, {count(trials, 'trial')}"
        words += f", {sum(c['done'] for c in counts.values()):,} done before" if resumed else ""
        self._meter = Meter(
            words,
            f"{paper.title} · arXiv {paper.arxiv}",
            {n: c["planned"] for n, c in counts.items()},
            screen.console(stderr=True),
        )
        self._meter.__enter__()
        for name, found in counts.items():
            if found["done"]:
                self._meter.done(name, found["done"], cached=True)

    def done(self, experiment: str, n: int) -> None:
        """Advance a bar.

        Args:
            experiment: Which.
            n: Trials.
        """
        if self._meter:
            self._meter.done(experiment, n)

    def note(self, experiment: str, text: str) -> None:
        """Say what runs.

        Args:
            experiment: Which.
            text: What.
        """
        if self._meter:
            self._meter.note(experiment, text)

    def left(self, seconds: float) -> None:
        """Say how long it will take.

        Args:
            seconds: Estimate.
        """
        if self._meter:
            self._meter.left(seconds)

    def close(self) -> None:
        """Clear the display."""
        if self._meter:
            self._meter.__exit__(None, None, None)
            self._meter = None
