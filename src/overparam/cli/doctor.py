"""`overparam doctor`: what `/health/ready` says, for people."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False) -> None:
    """Check that the site can work: database, tables, disk, sources, queue. Exit code 1 when something is wrong."""
    checks = _checks()
    ok = all(check["ok"] for check in checks)
    if as_json:
        typer.echo(json.dumps({"status": "ready" if ok else "not ready", "checks": checks}, indent=2))
    else:
        _show(checks)
    if not ok:
        raise typer.Exit(1)


def _checks() -> list[dict[str, Any]]:
    from overparam.errors import OverparamError
    from overparam.ledger import Ledger
    from overparam.site.readiness import readiness

    try:
        return [check.as_json() for check in readiness(Ledger())]
    except OverparamError as error:  # the ledger cannot even be opened
        return [{"name": "database", "ok": False, "detail": str(error), "figures": {}}]


def _show(checks: list[dict[str, Any]]) -> None:
    from rich.text import Text

    from overparam.cli import screen

    table = screen.columns(("", ""), ("", ""), ("", "wrap"))
    table.show_header = False
    well, ill = ("[+]", "[!]") if screen.plain() else ("●", "▲")
    for check in checks:
        colour = screen.COLOURS["reproduced" if check["ok"] else "failed"]
        table.add_row(Text(well if check["ok"] else ill, style=colour), check["name"], Text(check["detail"]))
    screen.console().print(table)
