"""How pages are rendered: one environment, and what every page needs beside its own words."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import Any

import jinja2
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from overparam.feed.fetch import sources_state
from overparam.lab.report import code, look, slug
from overparam.lab.wording import capital, count, day, duration, megabytes, number
from overparam.ledger import Ledger
from overparam.settings import site_url
from overparam.site.assets import version
from overparam.site.viewer import viewer_of

THEMES = ("light", "dark")
NAMES = {"huggingface": "Hugging Face", "arxiv": "arXiv"}


@functools.cache
def environment() -> jinja2.Environment:
    """Build the template environment."""
    made = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader("overparam.site"), jinja2.PackageLoader("overparam.lab")]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "capital": capital,
        "code": code,
        "day": day,
        "short_day": short_day,
        "duration": duration,
        "megabytes": megabytes,
        "number": number,
        "slug": slug,
    }
    made.globals |= {
        "count": count,
        "moment": moment,
        "sprite": _sprite(),
        "logo": Markup(look("logo.svg")),
        "assets": version(),
    }
    return made


def _sprite() -> Markup:
    return Markup(look("verdicts.svg").replace("<svg ", '<svg class="sprite" aria-hidden="true" ', 1))


def short_day(iso: str) -> str:
    """Write a day for tables: `21 Nov` this year, `21 Nov 2025` otherwise.

    Args:
        iso: ISO text.

    Returns:
        Its day.
    """
    when = datetime.fromisoformat(iso)
    return f"{when.day} {when:%b}" + ("" if when.year == datetime.now(UTC).year else f" {when.year}")


def moment(iso: str) -> Markup:
    """Write a moment relative to now under 24 hours, else its day, inside a `time` element.

    Args:
        iso: ISO text.

    Returns:
        HTML.
    """
    when = datetime.fromisoformat(iso)
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    seconds = (datetime.now(UTC) - when).total_seconds()
    if 0 <= seconds < 60:
        words = "just now"
    elif 60 <= seconds < 3600:
        words = f"{seconds // 60:.0f}\u202fmin ago"
    elif 3600 <= seconds < 86400:
        words = f"{seconds // 3600:.0f}\u202fh ago"
    else:
        words = short_day(iso)
    return Markup('<time datetime="{}">{}</time>').format(f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}", words)


def _freshness(ledger: Ledger) -> dict[str, Any]:
    """Say when sources were read, and which are late."""
    states = sources_state(ledger)
    late = [
        f"{NAMES.get(s.source, s.source)} was last read {duration(s.age_seconds)} ago"
        for s in states
        if s.stale and s.age_seconds is not None
    ]
    return {"read_at": max((s.succeeded_at for s in states if s.succeeded_at), default=None), "late": late}


def page(request: Request, template: str, status: int = 200, **context: Any) -> HTMLResponse:
    """Render a page.

    Args:
        request: What was asked.
        template: Name in the folder of templates.
        status: HTTP status.
        **context: What the template shows.

    Returns:
        The answer.
    """
    theme = request.cookies.get("theme")
    text = (
        environment()
        .get_template(template)
        .render(
            request=request,
            path=request.url.path,
            viewer=viewer_of(request),
            theme=theme if theme in THEMES else None,
            base=site_url(),
            sources=_freshness(request.app.state.ledger),
            **context,
        )
    )
    return HTMLResponse(text, status)
