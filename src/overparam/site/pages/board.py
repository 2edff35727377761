"""The board: all papers by claims at a glance."""

from __future__ import annotations

import csv
import io
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from overparam.site.recent import recent
from overparam.site.verdicts import STATUSES, PaperState, tally
from overparam.site.views import page


def board(request: Request) -> Response:
    """Show the board."""
    states = list(request.app.state.overview.states().values())
    tried = [s for s in states if s.entry.runnable]
    return page(
        request,
        "board.html.jinja",
        papers=len(states),
        tally=tally(states),
        statuses=STATUSES,
        width=max((len(s.claims) for s in tried), default=1),
        tried=[_row(s) for s in tried],
        waiting=[_row(s) for s in states if not s.entry.runnable],
    )


def _row(state: PaperState) -> dict[str, Any]:
    judged = state.judged
    proxies = sum(c.proxy for c in judged)
    return {
        "paper": state.entry.paper,
        "cells": state.claims,
        "reproduced": sum(c.status == "reproduced" for c in judged),
        "judged": len(judged),
        "setting": "" if not judged else f"{proxies} by proxy" if proxies else "as in the paper",
        "scale": state.scales[0] if judged else "",
        "seconds": state.cpu_seconds if judged else None,
        "at": state.newest,
    }


def board_csv(request: Request) -> Response:
    """Send the board as CSV."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["paper", "claim", "verdict", "proxy", "scale", "at"])
    for state in request.app.state.overview.states().values():
        for c in state.claims:
            writer.writerow([state.entry.paper.slug, c.claim, c.status, c.proxy, c.scale, c.at])
    return PlainTextResponse(text.getvalue(), media_type="text/csv")


routes = [Route("/board", recent(board)), Route("/board.csv", board_csv)]
