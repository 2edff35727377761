"""Fills a ledger with the papers that have code here and with the evidence that comes with the project."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

import sqlalchemy as sa

from overparam.feed import trending
from overparam.feed.merge import absorb
from overparam.feed.record import Record
from overparam.feed.search import index
from overparam.lab import evidence
from overparam.lab.planner import REGULAR
from overparam.lab.registry import Entry, papers
from overparam.lab.runner import record_paper
from overparam.ledger import Ledger
from overparam.ledger.clock import now
from overparam.ledger.schema import article, claim, figure, run, verdict
from overparam.settings import shipped

LISTED = date(2025, 12, 26)  # the Daily Papers page on which the first 36 papers stood
SOURCE = "overparam"


def seed(ledger: Ledger) -> int:
    """Bring papers and shipped evidence into a ledger; what is there already stays as it is.

    Args:
        ledger: Any ledger.

    Returns:
        How many runs were added.
    """
    entries = papers()
    for entry in entries.values():
        record_paper(entry, ledger)
    absorb(ledger, [_record(entry) for entry in entries.values()])
    folder = shipped("evidence")
    files = sorted(folder.glob("*/*.json")) if folder.is_dir() else []
    index.update_words(ledger)
    return sum(bring_in(ledger, evidence.read(path)) for path in files if path.parent.name in entries)


def _record(entry: Entry) -> Record:
    paper = entry.paper
    return Record(
        source=SOURCE,
        external_id=paper.slug,
        slug=paper.slug,
        title=paper.title,
        abstract=paper.summary,
        published_on=paper.published.isoformat(),
        authors=paper.authors,
        author_count=paper.author_count,
        arxiv=paper.arxiv,
        topics=paper.topics,
        listed_on=(LISTED if paper.order else paper.published).isoformat(),  # others came with packs
        rank=paper.order or None,
        comments=paper.comments,
        discussion_url=f"https://huggingface.co/papers/{paper.arxiv}" if paper.comments else None,
        code_url=paper.code or None,
    )


def bring_in(ledger: Ledger, document: Mapping[str, Any]) -> bool:
    """Add a run from its JSON document: verdicts, cost, provenance and figures, without single trials.

    Args:
        ledger: Where it goes.
        document: As written by `overparam run --save`.

    Returns:
        Whether it was new.
    """
    entry = papers()[document["paper"]]
    at = document["ended_at"] or document["started_at"]
    with ledger.writing() as db:
        if db.execute(sa.select(run.c.id).where(run.c.id == document["run"])).first():
            return False
        db.execute(sa.insert(run).values(**_run_row(document)))
        known = {c.id for c in entry.claims}
        for body in (b for b in document["verdicts"] if b["claim"] in known):
            row = _claim_row(entry, body)
            db.execute(ledger.insert(claim).values(first_seen_at=at, **row).on_conflict_do_nothing())
            db.execute(
                sa.insert(verdict).values(
                    run_id=document["run"],
                    claim=body["claim"],
                    paper=document["paper"],
                    rule_hash=body["rule_hash"],
                    status=body["status"],
                    estimate=body["estimate"],
                    low=body["low"],
                    high=body["high"],
                    n=body["n"],
                    body_json=json.dumps(body),
                    at=at,
                )
            )
        for position, drawn in enumerate(document.get("figures", [])):
            table = {"columns": drawn["columns"], "rows": drawn["rows"]}
            db.execute(
                sa.insert(figure).values(
                    run_id=document["run"],
                    name=drawn["name"],
                    position=position,
                    svg=drawn["svg"],
                    caption=drawn["caption"],
                    table_json=json.dumps(table),
                )
            )
        found = db.execute(sa.select(article.c.id).where(article.c.slug == document["paper"])).scalar()
        if found and document["verdicts"]:
            trending.add(db, found, trending.WEIGHTS["verdict"] * len(document["verdicts"]), at)
            db.execute(sa.update(article).where(article.c.id == found).values(updated_at=now()))
    return True


def _run_row(document: Mapping[str, Any]) -> dict[str, Any]:
    provenance = dict(document["provenance"])
    options = {"custom": document["custom"], "sabotage": document["sabotage"]}
    return {
        "id": document["run"],
        "paper": document["paper"],
        "scale": document["scale"],
        "spec_hash": f"evidence {document['run']}",
        "options_json": REGULAR if options == json.loads(REGULAR) else json.dumps(options),
        "state": document["state"],
        "engine": provenance.pop("engine"),
        "workers": provenance.pop("workers"),
        "attempt": document["attempt"],
        "created_at": document["started_at"],
        "ended_at": document["ended_at"],
        "wall_seconds": document["cost"]["wall_seconds"],
        # trials stay where they ran: the document carries their counts and costs
        "provenance_json": json.dumps({
            **provenance,
            "recorded": {k: document[k] for k in ("trials", "cost", "failures", "experiments") if k in document},
        }),
    }


def _claim_row(entry: Entry, body: Mapping[str, Any]) -> dict[str, Any]:
    present = entry.claim(body["claim"])
    same = present.rule is not None and present.rule.hash == body["rule_hash"]
    rule = present.rule.as_data() if same and present.rule else {"text": body["rule"]}
    return {
        "paper": entry.paper.slug,
        "claim": body["claim"],
        "rule_hash": body["rule_hash"],
        "statement": present.statement,
        "source": present.source,
        "rule_json": json.dumps(rule, sort_keys=True, default=str),
    }
