"""What happened between two moments: verdicts of regular runs, and papers that the sources list.

A verdict is news when the board shows another one than at the first moment, or showed none: repeating a run is no
news. It has changed when the same claim was judged otherwise at the same scale before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from overparam.feed.mail.filters import Filter
from overparam.feed.mail.message import one_line
from overparam.feed.mail.news import Finding, Judged, Listed, News
from overparam.lab.planner import REGULAR
from overparam.lab.registry import Entry, papers
from overparam.lab.wording import capital, count, duration, estimate_text
from overparam.ledger import Ledger
from overparam.ledger.clock import shift
from overparam.ledger.schema import article, article_topic, claim, paper, run, trial, verdict

RANK = {"smoke": 0, "laptop": 1, "paper": 2}
FRESH = timedelta(days=7)  # a paper that was listed longer ago was filled in later and is no news
NAMES_SHOWN, SENTENCE = 3, 220


class Chronicle:
    """All that happened between two moments, read once and then told to many.

    Args:
        ledger: Where it lies.
        since: The earliest moment that anybody asks for.
        until: The last.
    """

    def __init__(self, ledger: Ledger, since: str, until: str) -> None:
        self._ledger, self.until = ledger, until
        with ledger.reading() as db:
            self._articles = _new_articles(db, since, until)
            self._history = _history(db, since, until)
            slugs = {slug for slug, _ in self._history}
            ours = [r.slug for r in self._articles if r.slug]
            self._known = set(db.scalars(sa.select(verdict.c.paper).where(verdict.c.paper.in_(ours)).distinct()))
            self._cost = _cost(db, {rows[-1].run_id for rows in self._history.values()})
            self._papers = {r.slug: r for r in db.execute(sa.select(paper).where(paper.c.slug.in_(slugs)))}
            known = sa.select(article.c.id, article.c.slug, article.c.authors_json, article.c.author_count)
            self._ours = {r.slug: r for r in db.execute(known.where(article.c.slug.in_(slugs)))}
            self._topics: dict[str, set[str]] = {}
            ids = [r.id for r in self._articles] + [r.id for r in self._ours.values()]
            for row in db.execute(sa.select(article_topic).where(article_topic.c.article_id.in_(ids))):
                self._topics.setdefault(row.article_id, set()).add(row.topic)
        self._matching: dict[str, set[str]] = {}

    def news(self, wanted: Filter, since: str) -> News:
        """Tell what a subscriber wants to hear.

        Args:
            wanted: The filter.
            since: Only what happened later.

        Returns:
            The news.
        """
        judged = [] if wanted.kinds == ("papers",) else list(self._judged(wanted, since))
        judged.sort(key=lambda each: not any(f.status == "not reproduced" or f.was for f in each.findings))
        listed = (
            Listed(r.key, one_line(r.title), _about(r), r.listed_on, r.slug in self._known)
            for r in self._articles
            if "papers" in wanted.kinds and r.added_at > since and self._told(wanted, r.slug, r.id, set())
        )
        return News(tuple(judged), tuple(listed))

    def _told(self, wanted: Filter, slug: str | None, article_id: str | None, topics: set[str]) -> bool:
        if wanted.papers and slug not in wanted.papers:
            return False
        if wanted.topics and not (topics | self._topics.get(article_id or "", set())) & set(wanted.topics):
            return False
        return not wanted.words or article_id in self._with_words(wanted.words)

    def _with_words(self, words: str) -> set[str]:
        if words not in self._matching:
            from overparam.feed.search import matches

            ids = [r.id for r in self._articles] + [r.id for r in self._ours.values()]
            self._matching[words] = set(matches(self._ledger, words, ids))
        return self._matching[words]

    def _judged(self, wanted: Filter, since: str) -> Iterable[Judged]:
        found: dict[str, list[Finding]] = {}
        costs: dict[str, set[str]] = {}
        for (slug, _), rows in self._history.items():
            entry, ours = papers().get(slug), self._ours.get(slug)
            topics = set(entry.paper.topics) if entry else set()
            if not self._told(wanted, slug, ours.id if ours else None, topics):
                continue
            latest = _on_board(rows)
            before = _on_board(r for r in rows if r.at <= since)
            if latest is None or latest.at <= since or _judgement(latest) == _judgement(before):
                continue
            was = _was(rows, latest, since)
            if "changes" in wanted.kinds and not was:
                continue
            found.setdefault(slug, []).append(_finding(latest, was))
            costs.setdefault(slug, set()).add(latest.run_id)
        order = {slug: i for i, slug in enumerate(papers())}
        for slug in sorted(found, key=lambda s: (order.get(s, len(order)), s)):
            seconds = sum(self._cost.get(run_id, 0.0) for run_id in costs[slug])
            yield self._paper(slug, found[slug], seconds)

    def _paper(self, slug: str, findings: list[Finding], seconds: float) -> Judged:
        row, entry, ours = self._papers[slug], papers().get(slug), self._ours.get(slug)
        names = list(entry.paper.authors) if entry else []
        names = names or (json.loads(ours.authors_json) if ours else [])
        n = entry.paper.author_count if entry else ours.author_count if ours else len(names)
        parts = [_authors(names, n), f"arXiv {row.arxiv}" if row.arxiv else "", f"{duration(seconds)} of CPU"]
        place = {c.id: i for i, c in enumerate(entry.claims)} if entry else {}
        findings = sorted(findings, key=lambda f: (place.get(f.claim, len(place)), f.claim))
        return Judged(slug, one_line(row.title), " · ".join(filter(None, parts)), tuple(findings))


def _new_articles(db: sa.Connection, since: str, until: str) -> list[sa.Row[Any]]:
    columns: tuple[sa.Column[Any], ...] = (
        article.c.id,
        article.c.key,
        article.c.slug,
        article.c.title,
        article.c.abstract,
    )
    columns += (article.c.added_at, article.c.listed_on)
    query = sa.select(*columns).where(article.c.added_at > since, article.c.added_at <= until)
    query = query.where(article.c.listed_on >= shift(since, -FRESH)[:10], article.c.withdrawn.is_(False))
    trend = sa.func.coalesce(article.c.trend_key, -1e300)
    return list(db.execute(query.order_by(trend.desc(), article.c.id)))


def _history(db: sa.Connection, since: str, until: str) -> dict[tuple[str, str], list[sa.Row[Any]]]:
    """Verdicts of the window, and for their claims the last one before it at each scale, in order of time."""
    regular = verdict.join(run, run.c.id == verdict.c.run_id)
    columns = (*(verdict.c[n] for n in ("run_id", "paper", "claim", "status", "rule_hash", "at")), run.c.scale)
    window = sa.select(*columns).select_from(regular).where(run.c.options_json == REGULAR)
    recent = (verdict.c.at > since, verdict.c.at <= until)
    touched = sa.select(verdict.c.paper, verdict.c.claim).where(*recent).distinct().subquery()
    of_touched = sa.and_(touched.c.paper == verdict.c.paper, touched.c.claim == verdict.c.claim)
    place = sa.func.row_number().over(
        partition_by=(verdict.c.paper, verdict.c.claim, run.c.scale), order_by=verdict.c.at.desc()
    )
    older = (
        sa
        .select(*columns, place.label("place"))
        .select_from(regular.join(touched, of_touched))
        .where(run.c.options_json == REGULAR, verdict.c.at <= since)
        .subquery()
    )
    last = sa.select(*(older.c[c.name] for c in columns)).where(older.c.place == 1)
    every = sa.union_all(window.where(*recent), last).subquery()
    full = sa.select(every, verdict.c.body_json, claim.c.statement).select_from(
        every.join(verdict, sa.and_(verdict.c.run_id == every.c.run_id, verdict.c.claim == every.c.claim)).join(
            claim,
            sa.and_(
                claim.c.paper == every.c.paper,
                claim.c.claim == every.c.claim,
                claim.c.rule_hash == every.c.rule_hash,
            ),
        )
    )
    found: dict[tuple[str, str], list[sa.Row[Any]]] = {}
    for row in db.execute(full.order_by(every.c.at, every.c.run_id)):
        found.setdefault((row.paper, row.claim), []).append(row)
    return found


def _cost(db: sa.Connection, runs: set[str]) -> dict[str, float]:
    seconds = sa.func.coalesce(sa.func.sum(trial.c.cpu_seconds), 0.0).label("seconds")
    query = sa.select(trial.c.run_id, seconds).where(trial.c.run_id.in_(runs)).group_by(trial.c.run_id)
    found = {row.run_id: float(row.seconds) for row in db.execute(query)}
    others = sa.select(run.c.id, run.c.provenance_json).where(run.c.id.in_(runs - found.keys()))
    for row in db.execute(others):  # runs that came as evidence, whose trials stayed where they ran
        cost = json.loads(row.provenance_json).get("recorded", {}).get("cost", {})
        found[row.id] = float(cost.get("cpu_seconds", 0.0))
    return found


def _on_board(rows: Iterable[sa.Row[Any]]) -> sa.Row[Any] | None:
    return max(rows, key=lambda r: (RANK.get(r.scale, 0), r.at), default=None)


def _judgement(row: sa.Row[Any] | None) -> tuple[str, str, str] | None:
    return (row.scale, row.status, row.rule_hash) if row else None


def _was(rows: list[sa.Row[Any]], latest: sa.Row[Any], since: str) -> str:
    """How the same claim was judged at the same scale when the reader last heard of it, or first in the window."""
    same = [r for r in rows if r.scale == latest.scale and r is not latest]
    before = max((r for r in same if r.at <= since), key=lambda r: r.at, default=same[0] if same else None)
    if before is None or _judgement(before) == _judgement(latest):
        return ""
    was = f"Was {before.status}"
    if before.rule_hash == latest.rule_hash:
        return f"{was}."
    return (
        f"{was}; the rule has changed since." if before.status != latest.status else f"{was} by an earlier rule, too."
    )


def _finding(row: sa.Row[Any], was: str) -> Finding:
    from overparam.lab.report import headline, part_of

    body = json.loads(row.body_json)
    head, words, interval = headline(body), "", False
    if head is not None:
        number, ends = estimate_text(part_of(head))
        interval = ends.startswith("[")
        unit = f" {head['unit']}" if head["unit"] else ""
        words = f"{'' if unit else head['name'] + ' '}{number}{unit} {ends}"
    return Finding(row.claim, row.status, bool(body["proxy"]), one_line(row.statement), was, words, interval)


def _authors(names: list[str], n: int) -> str:
    if names and len(names) <= NAMES_SHOWN:
        return ", ".join(one_line(name).rpartition(" ")[2] for name in names)
    return count(n, "author") if n else ""


def _about(row: sa.Row[Any]) -> str:
    entry = papers().get(row.slug or "")
    if entry:
        return f"{_first(entry.paper.summary)} {_claims(entry)}"
    return capital(_first(row.abstract))


def _claims(entry: Entry) -> str:
    return f"{count(len(entry.claims), 'claim')}." if entry.claims else "Not runnable yet."


def _first(text: str) -> str:
    """The first sentence, cut between words where it is long."""
    words = one_line(text)
    sentence = words.partition(". ")[0].rstrip(".") + "." if words else ""
    if len(sentence) <= SENTENCE:
        return sentence
    return sentence[: SENTENCE - 1].rpartition(" ")[0].rstrip(",;:") + "…"
