"""The peer of the day page: a bare Starlette page with Jinja and SQLite, 30 rows, nothing else."""

from __future__ import annotations

import os
import sqlite3
import threading

import jinja2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

TEMPLATE = jinja2.Environment(autoescape=True).from_string(
    """<!doctype html><title>{{ day }}</title><h1>{{ day }}</h1>
<ol>{% for r in rows %}<li><h2><a href="/papers/{{ r[0] }}">{{ r[1] }}</a></h2>
<p>{{ r[3] }}, {{ r[4] }} votes</p><p>{{ r[2][:420] }}</p></li>{% endfor %}</ol>"""
)
LOCAL = threading.local()


def day(request: Request) -> HTMLResponse:
    """Show a day."""
    if not hasattr(LOCAL, "db"):
        LOCAL.db = sqlite3.connect(os.environ["BARE_DATABASE"])
    rows = LOCAL.db.execute(
        "SELECT a.key, a.title, a.abstract, a.published_on, a.votes_elsewhere FROM listing l JOIN article a "
        "ON a.id = l.article_id WHERE l.day = ? ORDER BY a.votes_elsewhere DESC LIMIT 30",
        [request.path_params["name"]],
    ).fetchall()
    return HTMLResponse(TEMPLATE.render(day=request.path_params["name"], rows=rows))


app = Starlette(routes=[Route("/days/{name}", day)])
