"""What a search answers: hits with the claims that match and a sentence to show, and counts for narrowing."""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from overparam.feed.search.grammar import Query
from overparam.feed.search.index import claims_of
from overparam.feed.search.words import excerpt, fold, stems
from overparam.lab.model import Claim
from overparam.lab.planner import REGULAR
from overparam.lab.registry import papers
from overparam.ledger import Ledger
from overparam.ledger.schema import article, article_topic, verdict

LONGEST_SNIPPET: Final = 280
MATCHES_WORDS: Final = 0.5  # share of the words of the query that a claim must have
MATCHES_MEANING: Final = 0.4  # cosine that stands in for it
SHOWN_CLAIMS: Final = 3  # that compete to be the sentence shown


@dataclass(frozen=True)
class Hit:
    """One paper that was found.

    Attributes:
        article_id: Its article.
        score: Of the fusion; larger is better, 0 where the order is by date.
        ways: `words`, `meaning` or both; empty where the order is by date.
        claims: Ids of its claims that match and have the wanted verdict, best first; where none matches, the paper
            matches as a whole and these are all of them with that verdict.
        snippet: Statement of a claim or sentence of the abstract, as plain text.
        marks: Start and end of the words of the query in it.
    """

    article_id: str
    score: float
    ways: tuple[str, ...]
    claims: tuple[str, ...]
    snippet: str
    marks: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Found:
    """The answer to a search.

    Attributes:
        query: As it was understood.
        hits: One page of papers.
        total: Number of papers on all pages; None where more match than are ranked.
        claim_total: Number of claims that match on all pages; None likewise.
        degraded: Words for the page when one way failed or ran out of time; else empty.
        milliseconds: How long it took.
        next: Cursor of the next page, or None.
        verdicts: Verdict to number of claims, whatever verdict was asked for.
        settings: `as in the paper` and `proxy` to number of judged claims, likewise.
        topics: Topic to number of papers, most first.
    """

    query: Query
    hits: list[Hit]
    total: int | None
    claim_total: int | None
    degraded: str
    milliseconds: float
    next: str | None
    verdicts: Mapping[str, int]
    settings: Mapping[str, int]
    topics: Mapping[str, int]


@dataclass(frozen=True)
class Standing:
    """Where a claim stands: its verdict, and whether that was reached in another setting than the paper's."""

    verdict: str = "unjudged"
    proxy: bool | None = None

    def fits(self, query: Query) -> bool:
        """Tell whether a query asks for such claims.

        Args:
            query: What is looked for.

        Returns:
            Whether verdict and setting are among the wanted.
        """
        right = not query.verdicts or self.verdict in query.verdicts
        return right and (query.proxy is None or self.proxy == query.proxy)


Standings = Mapping[tuple[str, str], Standing]
NONE: Final = Standing()
_KEPT: dict[str, tuple[object, Standings]] = {}


def standings(ledger: Ledger) -> Standings:
    """Read where the claims stand, from memory until there is another verdict.

    Args:
        ledger: Where verdicts lie.

    Returns:
        Slug and claim to standing; unjudged claims are absent.
    """
    address = ledger.engine.url.render_as_string()
    with ledger.reading() as db:
        state = tuple(db.execute(sa.select(sa.func.count(), sa.func.max(verdict.c.at)).select_from(verdict)).one())
    if address not in _KEPT or _KEPT[address][0] != state:
        rows = ledger.latest_verdicts(REGULAR)
        known = {(r.paper, r.claim): Standing(r.status, bool(json.loads(r.body_json).get("departs"))) for r in rows}
        _KEPT[address] = state, known
    return _KEPT[address][1]


def slugs_for(query: Query, known: Standings) -> frozenset[str]:
    """Name the papers with a claim that stands as a query wants it.

    Args:
        query: What is looked for.
        known: Where the claims stand.

    Returns:
        Slugs.
    """
    return frozenset(
        slug
        for slug, entry in papers().items()
        if any(known.get((slug, claim.id), NONE).fits(query) for claim in entry.claims)
    )


@functools.lru_cache(maxsize=10_000)
def _stems_of(text: str) -> frozenset[str]:
    return frozenset(stems(fold(text)))


class Answer:
    """Facts of the papers that were found, and what to show of them.

    Args:
        ledger: Where they lie.
        query: What was looked for.
        known: Where the claims stand.
        near: Article and claim to cosine with the query.
        ids: Papers that were found; those that are gone by now are left out.

    Attributes:
        slugs: Article to slug, or to None.
        fitting: Articles with a claim that stands as the query wants it.
    """

    def __init__(
        self,
        ledger: Ledger,
        query: Query,
        known: Standings,
        near: Mapping[tuple[str, str], float],
        ids: Sequence[str],
    ) -> None:
        self._ledger, self._query, self._known, self._near = ledger, query, known, near
        self._wanted = frozenset(stems(fold(" ".join([*query.words, *query.phrases]))))
        with ledger.reading() as db:
            rows = db.execute(sa.select(article.c.id, article.c.slug).where(article.c.id.in_(ids)))
            self.slugs: dict[str, str | None] = {row.id: row.slug for row in rows}
        wanted = slugs_for(query, known) if query.by_claim else None
        self.fitting = {name for name, slug in self.slugs.items() if wanted is None or slug in wanted}

    def claims(self, article_id: str, *, any_verdict: bool = False) -> list[Claim]:
        """List the claims of a paper that match, best first.

        Args:
            article_id: The paper.
            any_verdict: Whether to leave aside which verdicts were asked for.

        Returns:
            Those that match by words or by meaning; all where none does.
        """
        slug = self.slugs[article_id]
        every = [
            claim
            for claim in claims_of(slug)
            if any_verdict or self._known.get((slug or "", claim.id), NONE).fits(self._query)
        ]
        scores = [self._score(article_id, claim) for claim in every]
        matching = [(-score, n) for n, score in enumerate(scores) if score >= 1]
        return [every[n] for _, n in sorted(matching)] or every

    def _score(self, article_id: str, claim: Claim) -> float:
        """Rate a claim; from 1 on it matches."""
        if not self._wanted:
            return 0.0
        share = len(self._wanted & _stems_of(f"{claim.statement} {claim.note}")) / len(self._wanted)
        cosine = self._near.get((article_id, claim.id), 0.0)
        score = share / MATCHES_WORDS + cosine / MATCHES_MEANING
        return score if share >= MATCHES_WORDS or cosine >= MATCHES_MEANING else 0.0

    def hits(self, ranked: Sequence[tuple[str, float, tuple[str, ...]]]) -> list[Hit]:
        """Make the hits of one page.

        Args:
            ranked: Article, score and ways.

        Returns:
            Hits in that order.
        """
        ids = [name for name, _, _ in ranked]
        with self._ledger.reading() as db:
            rows = db.execute(sa.select(article.c.id, article.c.abstract).where(article.c.id.in_(ids)))
            abstracts = {row.id: row.abstract for row in rows}
        hits = []
        for name, score, ways in ranked:
            claims = self.claims(name)
            matching = [c.statement for c in claims[:SHOWN_CLAIMS] if self._score(name, c)]
            sentences = [*matching, *re.split(r"(?<=[.?!])\s+", abstracts.get(name, ""))]
            snippet, marks = excerpt(sentences, self._wanted, LONGEST_SNIPPET)
            hits.append(Hit(name, score, ways, tuple(c.id for c in claims), snippet, marks))
        return hits

    def counts(self, chosen: Sequence[str]) -> dict[str, Mapping[str, int]]:
        """Count for narrowing.

        Args:
            chosen: Papers with the wanted verdicts.

        Returns:
            `verdicts` and `settings` of the claims of all papers that were found, `topics` of the chosen.
        """
        pairs = [(self.slugs[name], claim.id) for name in self.slugs for claim in self.claims(name, any_verdict=True)]
        standing = [self._known.get((slug or "", claim), NONE) for slug, claim in pairs]
        judged = Counter("proxy" if s.proxy else "as in the paper" for s in standing if s.proxy is not None)
        with self._ledger.reading() as db:
            topic = article_topic.c.topic
            count = Counter(db.scalars(sa.select(topic).where(article_topic.c.article_id.in_(chosen))))
        topics = sorted(count.items(), key=lambda item: (-item[1], item[0]))
        return {"verdicts": Counter(s.verdict for s in standing), "settings": judged, "topics": dict(topics)}
