"""`overparam fetch`: brings in what Hugging Face, arXiv or files list."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from overparam.errors import BadInput

if TYPE_CHECKING:
    from overparam.feed.fetch import Progress, Report
    from overparam.feed.merge import Absorbed

SHOWN = 5
PATIENCE_SECONDS = 2.0
SILENT_SECONDS = 10.0  # where there is no terminal to draw on


def fetch_papers(
    source: Annotated[str | None, typer.Argument(help="huggingface, arxiv, or all (the default).")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Days up to today that are read again; 7 by default.")] = None,
    since: Annotated[str | None, typer.Option(help="Read from this day on, such as 2026-11-01.")] = None,
    category: Annotated[list[str] | None, typer.Option(help="Category of arXiv; may be repeated.")] = None,
    from_file: Annotated[
        list[Path] | None, typer.Option(help="JSON, JSON lines or CSV, also with .gz; may be repeated.")
    ] = None,
    year: Annotated[int | None, typer.Option(min=1991, max=9999, help="Year of dates in files that have none.")] = None,
    listed: Annotated[str | None, typer.Option(help="Day of the Daily Papers page that a file was read from.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Bring in new papers. Stop and run again as you like: nothing comes in twice."""
    from overparam.feed import fetch as feed
    from overparam.feed.search import index
    from overparam.ledger import Ledger

    if source not in {None, "all", "huggingface", "arxiv"}:
        raise BadInput(f"source={source!r} is none; write huggingface, arxiv or all")
    span = _span(days, since)
    page = _day(listed, "--listed") if listed else None
    ledger = Ledger()
    reports: list[Report] = []
    with _display() as progress:
        for path in from_file or ():
            reports.append(feed.fetch_file(ledger, path, year=year, listed=page, progress=progress))
        if source or not from_file:
            names = [source] if source and source != "all" else []
            wanted = feed.standard(names, categories=category or ())
            reports += feed.fetch(ledger, wanted, days=span or feed.DAYS, progress=progress)
        indexed = index.update(ledger)
    if as_json:
        typer.echo(json.dumps({"sources": [_document(r) for r in reports], "indexed": indexed}, indent=2))
    else:
        for report in reports:
            _print(report)
    if any(report.error for report in reports):
        raise typer.Exit(1)


def _span(days: int | None, since: str | None) -> int | None:
    if since is None:
        return days
    if days is not None:
        raise BadInput("--days and --since say the same thing; give one of them")
    span = (datetime.now(UTC).date() - _day(since, "--since")).days + 1
    if span < 1:
        raise BadInput(f"--since {since} lies in the future; give a day up to today")
    return span


def _day(text: str, option: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise BadInput(f"{option} {text!r} is no day; write it like 2026-11-21") from error


def _document(report: Report) -> dict[str, Any]:
    counts = dataclasses.asdict(report.absorbed)
    del counts["ids"]
    rest = {"steps": report.steps, "problems": list(report.problems), "error": report.error}
    return {"source": report.source, **counts, **rest, "seconds": round(report.seconds, 3)}


def _print(report: Report) -> None:
    from overparam.lab.wording import duration

    typer.echo(f"{report.source}: {_counts(report.absorbed)} · {duration(report.seconds)}")
    if report.error:
        typer.echo(f"  stopped early: {report.error}", err=True)
    if report.problems:
        typer.echo(f"  {len(report.problems):,} could not be read:", err=True)
        for problem in report.problems[:SHOWN]:
            typer.echo(f"    {problem}", err=True)
        if len(report.problems) > SHOWN:
            typer.echo("    … (--json lists all)", err=True)


def _counts(absorbed: Absorbed) -> str:
    words = f"{absorbed.added:,} new, {absorbed.updated:,} updated, {absorbed.unchanged:,} unchanged"
    return words + (f", {absorbed.conflicts:,} wait for a person to decide" if absorbed.conflicts else "")


@contextlib.contextmanager
def _display() -> Iterator[Progress]:
    """Show on stderr what is being read, once it takes longer than two seconds."""
    from rich.text import Text

    from overparam.cli import screen

    console = screen.console(stderr=True)
    status = console.status("Reading papers")
    timer = threading.Timer(PATIENCE_SECONDS, status.start)
    timer.daemon = True

    said = time.monotonic()

    def show(source: str, label: str, absorbed: Absorbed) -> None:
        nonlocal said
        text = f"{source}, {label}: {_counts(absorbed)}"
        status.update(Text(text))
        if not console.is_terminal and time.monotonic() - said > SILENT_SECONDS:
            said = time.monotonic()
            console.print(text, markup=False)

    timer.start()
    try:
        yield show
    except KeyboardInterrupt:
        print("Stopped. Everything read is kept; the same command goes on from here.", file=sys.stderr)
        raise typer.Exit(130) from None
    finally:
        timer.cancel()
        status.stop()
