"""Commands that only read: list, show, report, board."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from overparam.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from overparam.lab.registry import Entry

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
SlugOf = Annotated[str, typer.Argument(help="Slug of a paper; `overparam list` shows them.")]
ScaleOf = Annotated[str | None, typer.Option(help="Only runs at this scale; by default the newest run.")]


def list_papers(
    topic: Annotated[str | None, typer.Option(help="Only papers of this topic.")] = None, as_json: Json = False
) -> None:
    """List the papers with their claims and latest verdicts."""
    from overparam.lab.registry import papers

    entries = [e for e in papers().values() if topic is None or topic in e.paper.topics]
    if not entries:
        topics = sorted({t for e in papers().values() for t in e.paper.topics})
        raise NotFound(f"no paper has topic {topic!r}; topics are {', '.join(topics)}")
    rows = _rows(entries, _latest())
    if as_json:
        typer.echo(json.dumps({"papers": rows}, indent=2))
        return
    from overparam.cli import screen

    screen.console().print(screen.paper_list(rows))


def _latest() -> dict[str, list[dict[str, Any]]]:
    from overparam.lab.planner import REGULAR
    from overparam.ledger import Ledger

    found: dict[str, list[dict[str, Any]]] = {}
    for row in Ledger().latest_verdicts(REGULAR):
        found.setdefault(row.paper, []).append({**json.loads(row.body_json), "scale": row.scale, "at": row.at})
    return found


def _rows(entries: Iterable[Entry], verdicts: Mapping[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    from overparam.lab.board import board_row

    return [board_row(e, {v["claim"]: v for v in verdicts.get(e.paper.slug, [])}) for e in entries]


def board(
    evidence: Annotated[Path | None, typer.Option(help="Read saved evidence from this folder, not the ledger.")] = None,
    as_json: Json = False,
) -> None:
    """Show all papers by claims, a mark for each verdict."""
    from overparam.lab.registry import papers

    rows = _rows(papers().values(), _saved(evidence) if evidence else _latest())
    if as_json:
        typer.echo(json.dumps({"papers": rows}, indent=2))
        return
    from overparam.cli import screen

    screen.console().print(screen.board(rows))


def _saved(folder: Path) -> dict[str, list[dict[str, Any]]]:
    from overparam.lab import evidence

    if not folder.is_dir():
        raise NotFound(f"--evidence {folder}: no such folder")
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for scale in ("smoke", "laptop", "paper"):  # the larger scale wins
        for path in sorted(folder.glob(f"*/{scale}.json")):
            document = evidence.read(path)
            for verdict in document["verdicts"]:
                found.setdefault(document["paper"], {})[verdict["claim"]] = {**verdict, "scale": scale}
    return {slug: list(verdicts.values()) for slug, verdicts in found.items()}


def print_board(documents: Iterable[Mapping[str, Any]]) -> None:
    """Print the board of some runs.

    Args:
        documents: One a run.
    """
    from overparam.cli import screen
    from overparam.lab.registry import papers

    verdicts = {d["paper"]: [{**v, "scale": d["scale"]} for v in d["verdicts"]] for d in documents}
    console = screen.console()
    console.print()
    console.print(screen.board(_rows(papers().values(), verdicts)))


def _document(slug: str, scale: str | None) -> tuple[Entry, dict[str, Any] | None, Any]:
    from overparam.lab.document import document
    from overparam.lab.experiment import require_scale
    from overparam.lab.registry import find
    from overparam.ledger import Ledger

    entry = find(slug)
    if scale is not None:
        require_scale(scale)
    ledger = Ledger()
    ledger.reap()
    run = ledger.latest_run(slug, scale=scale)
    return entry, document(entry, ledger, run.id) if run else None, ledger


def show(slug: SlugOf, scale: ScaleOf = None, as_json: Json = False) -> None:
    """Show a paper: its claims, rules and the newest run."""
    entry, document, _ = _document(slug, scale)
    if as_json:
        typer.echo(json.dumps({**_rows([entry], {})[0], "run": document}, indent=2))
        return
    from overparam.cli import screen

    screen.console().print(screen.paper_page(entry, document))


def report(
    slug: SlugOf,
    scale: ScaleOf = None,
    output: Annotated[Path | None, typer.Option(help="Where to write it; by default ./report/SLUG-SCALE.html.")] = None,
) -> None:
    """Write the newest run as one self-contained HTML file."""
    from overparam.lab import figures
    from overparam.lab.report import render

    entry, document, ledger = _document(slug, scale)
    if document is None:
        raise NotFound(f"{slug} has not been run{f' at {scale} scale' if scale else ''} yet; overparam run {slug}")
    drawn, _ = figures.draw(entry, ledger, document["run"])
    trials: dict[str, list[dict[str, Any]]] = {}
    for row in ledger.trials(document["run"]):
        values = {**json.loads(row.params_json), "seed": row.seed, **json.loads(row.metrics_json or "{}")}
        state = row.outcome if row.state == "failed" else "cached" if row.cached else row.state
        trials.setdefault(row.experiment, []).append({**values, "state": state})
    path = output or Path("report") / f"{slug}-{document['scale']}.html"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render(entry, document, drawn, trials), encoding="utf-8")
    except OSError as error:
        raise Unavailable(
            f"report {path} cannot be written ({error.strerror}); choose another place with --output"
        ) from error
    typer.echo(f"Report {path}")
