"""`overparam export`: the ledger as files, and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def export_data(
    folder: Annotated[Path, typer.Argument(help="New, empty, or with an older export, which is replaced.")],
    load: Annotated[
        bool, typer.Option("--load", help="Take the export in the folder into the ledger instead.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Write papers, runs, verdicts, trials and figures as JSON lines, without anything about people."""
    from overparam.feed import export as files
    from overparam.ledger import Ledger

    ledger = Ledger()
    counts = files.load(ledger, folder) if load else files.export(ledger, folder)
    if load:
        from overparam.feed.search import index

        index.update(ledger)
    if as_json:
        typer.echo(json.dumps({"folder": str(folder), "loaded" if load else "exported": counts}))
        return
    words = ", ".join(f"{n:,} {name}" for name, n in counts.items() if n) or "nothing"
    typer.echo(f"New in the ledger: {words}" if load else f"Export {folder}: {words}")
