"""The page of a paper: what held, by which rule, at what cost, and how to run or use it oneself."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from overparam.errors import NotFound
from overparam.feed import listings
from overparam.lab.experiment import SCALES
from overparam.lab.planner import REGULAR
from overparam.lab.registry import Entry
from overparam.lab.report import open_context, slug, verdict_context
from overparam.lab.wording import count, joined
from overparam.ledger import Ledger
from overparam.ledger.schema import listing, run, verdict
from overparam.site.cards import byline, cards, safe_url
from overparam.site.costs import costs_of
from overparam.site.markup import with_maths
from overparam.site.methods import example_of
from overparam.site.panels import panel
from overparam.site.verdicts import ClaimState, PaperState, tally
from overparam.site.views import page

HISTORY_SHOWN = 20


def paper(request: Request) -> Response:
    """Show a paper."""
    ledger = request.app.state.ledger
    key = request.path_params["key"]
    row = listings.by_key(ledger, key)
    if row is None:
        raise NotFound(f"no paper stands at {key[:60]!r}; the search may find it")
    if row.key != key:
        return RedirectResponse(f"/papers/{row.key}", status_code=308)
    state = request.app.state.overview.states().get(row.slug) if row.slug else None
    common: dict[str, Any] = {
        "a": cards(request, [row])[0],
        "row": row,
        "title": with_maths(row.title),
        "byline": byline(row),
        "abstract": with_maths(row.abstract),
        "topics": listings.topics_of(ledger, [row.id]).get(row.id, []),
        "listed": _listed(ledger, row.id),
        "code_url": safe_url(row.code_url),
    }
    if state is None:
        return page(request, "article.html.jinja", **common)
    return page(request, "paper.html.jinja", **common, **_evidence(ledger, state))


def _listed(ledger: Ledger, article_id: str) -> str | None:
    with ledger.reading() as db:
        return db.execute(sa.select(sa.func.max(listing.c.day)).where(listing.c.article_id == article_id)).scalar()


def _evidence(ledger: Ledger, state: PaperState) -> dict[str, Any]:
    entry = state.entry
    shown = _runs_shown(ledger, state)
    newest = shown[0] if shown else None
    histories = _histories(ledger, entry.paper.slug)
    return {
        "entry": entry,
        "state": state,
        "claims": [_claim(c, entry, histories.get(c.claim, [])) for c in state.claims],
        "tally": tally([state]),
        "proxy_words": _proxy_words(state),
        "live": panel(ledger, entry.paper.slug),
        "figures": [f for r in shown for f in figures_of(ledger, r)],
        "run": newest,
        "costs": costs_of(ledger, newest, entry) if newest else None,
        "provenance": json.loads(newest.provenance_json) if newest else {},
        "scales": [(s, _predicted(ledger, entry, s)) for s in SCALES],
        "runs": _number_of_runs(ledger, entry.paper.slug),
        "example": example_of(entry.paper.slug),
    }


def _runs_shown(ledger: Ledger, state: PaperState) -> list[sa.Row[Any]]:
    """Find the newest finished regular run at the largest scale that was judged."""
    for scale in state.scales:
        where = (run.c.paper == state.entry.paper.slug, run.c.scale == scale, run.c.options_json == REGULAR)
        query = sa.select(run).where(*where, run.c.state.in_(["succeeded", "failed"]))
        with ledger.reading() as db:
            found = db.execute(query.order_by(run.c.created_at.desc(), run.c.id.desc()).limit(1)).all()
        if found:
            return list(found)
    return []


def figures_of(ledger: Ledger, row: sa.Row[Any]) -> list[dict[str, Any]]:
    """Read the figures of a run for a template.

    Args:
        ledger: Where they lie.
        row: Of `run`.

    Returns:
        Name, SVG, caption, columns and rows of each.
    """
    found = []
    for f in ledger.figures(row.id):
        table = json.loads(f.table_json)
        found.append({"run": row.id, "name": f.name, "svg": f.svg, "caption": f.caption, **table})
    return found


def _claim(claim: ClaimState, entry: Entry, history: list[sa.Row[Any]]) -> dict[str, Any]:
    about = entry.claim(claim.claim)
    context: dict[str, Any] = {
        "id": claim.claim,
        "about": about,
        "status": claim.status,
        "scale": claim.scale,
        "at": claim.at,
        "verdict": None,
        "history": [_past(row, i) for i, row in enumerate(history)],
        "stale": bool(claim.judged and about.rule and claim.body["rule_hash"] != about.rule.hash),
    }
    if claim.judged:
        context["verdict"] = verdict_context(claim.body, entry)
    else:
        reason = about.untestable or "No run has reached it yet"
        untestable = bool(about.untestable)
        context["open"] = open_context({"claim": about.id, "reason": reason, "untestable": untestable}, entry)
        context["rule"] = about.rule.text if about.rule else ""
    return context


def _past(row: sa.Row[Any], position: int) -> dict[str, Any]:
    body = json.loads(row.body_json)
    return {"at": row.at, "status": row.status, "run": row.run_id, "scale": row.scale, "rule": body["rule"],
            "rule_hash": row.rule_hash, "present": position == 0}  # fmt: skip


def _histories(ledger: Ledger, key: str) -> dict[str, list[sa.Row[Any]]]:
    """Read the last verdicts of every claim: newest first, only those where scale, rule or status changed."""
    query = (
        sa
        .select(verdict, run.c.scale)
        .join(run, run.c.id == verdict.c.run_id)
        .where(verdict.c.paper == key, run.c.options_json == REGULAR)
        .order_by(verdict.c.at.desc())
        .limit(40 * HISTORY_SHOWN)
    )
    found: dict[str, list[sa.Row[Any]]] = {}
    with ledger.reading() as db:
        for row in db.execute(query):
            past = found.setdefault(row.claim, [])
            if len(past) < HISTORY_SHOWN:
                past.append(row)
    return found


def _proxy_words(state: PaperState) -> str:
    judged = state.judged
    proxies = [c for c in judged if c.proxy]
    if not proxies:
        return ""
    if len(proxies) == len(judged):
        which = (
            "Both verdicts are" if len(judged) == 2 else "The verdict is" if len(judged) == 1 else "All verdicts are"
        )
    else:
        which = f"{joined([c.claim for c in proxies])} {'is' if len(proxies) == 1 else 'are'}"
    return f"{which} by proxy: the setting departs from the paper’s, as each claim says."


def _predicted(ledger: Ledger, entry: Entry, scale: str) -> float | None:
    """Seconds that the newest whole run at this scale took; None if there was none."""
    where = (run.c.paper == entry.paper.slug, run.c.scale == scale, run.c.options_json == REGULAR)
    query = sa.select(run.c.wall_seconds).where(*where, run.c.state == "succeeded").order_by(run.c.wall_seconds.desc())
    with ledger.reading() as db:
        return db.execute(query.limit(1)).scalar()


def _number_of_runs(ledger: Ledger, key: str) -> int:
    with ledger.reading() as db:
        return int(db.execute(sa.select(sa.func.count()).select_from(run).where(run.c.paper == key)).scalar_one())


def _ours(request: Request) -> PaperState:
    key = request.path_params["key"]
    state = request.app.state.overview.states().get(key)
    if state is None:
        raise NotFound(f"no paper with code here is called {key[:60]!r}")
    return state  # type: ignore[no-any-return]


def claims_csv(request: Request) -> Response:
    """Send the claims and verdicts of a paper as CSV."""
    state = _ours(request)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([
        "paper",
        "claim",
        "statement",
        "verdict",
        "proxy",
        "estimate",
        "low",
        "high",
        "unit",
        "n",
        "scale",
        "at",
    ])
    for c in state.claims:
        b: Mapping[str, Any] = c.body
        numbers = [b.get(k) for k in ("estimate", "low", "high", "unit", "n")]
        writer.writerow([state.entry.paper.slug, c.claim, c.statement, c.status, c.proxy, *numbers, c.scale, c.at])
    return PlainTextResponse(text.getvalue(), media_type="text/csv")


def bibtex(request: Request) -> Response:
    """Send the paper as BibTeX."""
    p = _ours(request).entry.paper
    authors = " and ".join(p.authors) or count(p.author_count, "author")
    fields = {"title": f"{{{p.title}}}", "author": authors, "year": p.published.year, "eprint": p.arxiv,
              "archivePrefix": "arXiv", "url": f"https://arxiv.org/abs/{p.arxiv}"}  # fmt: skip
    body = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
    return PlainTextResponse(f"@misc{{{slug(p.slug)}-{p.published.year},\n{body}\n}}\n", media_type="text/plain")


routes = [
    Route("/papers/{key}/claims.csv", claims_csv),
    Route("/papers/{key}/paper.bib", bibtex),
    Route("/papers/{key:path}", paper),
]
