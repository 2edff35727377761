"""Search of 10,000 real papers: time of a query, and quality on judged queries."""

from __future__ import annotations

import gzip
import itertools
import json
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from harness import Result, compare, figure

JUDGED = Path(__file__).parents[1] / "tests" / "feed" / "search" / "judged.json"
RECORDS = Path(os.environ.get("OVERPARAM_DATA", "")) / "arxiv-ml" / "arxiv_ml.jsonl.gz"
Order = Callable[[str], list[str]]


def _records(n: int) -> Iterator[Any]:
    from overparam.feed.record import Record

    with gzip.open(RECORDS, "rt") as file:
        for row in map(json.loads, itertools.islice(file, n)):
            yield Record(
                source="arxiv",
                external_id=row["id"],
                arxiv=row["id"],
                title=row["title"],
                abstract=row["abstract"],
                authors=tuple(row["authors"]),
                author_count=len(row["authors"]),
                published_on=row["listed"],
                topics=tuple(row["categories"]),
            )


def _stocked(folder: str, n: int) -> Any:
    from overparam.feed.merge import absorb
    from overparam.feed.search import update
    from overparam.feed.seed import seed
    from overparam.ledger import Ledger

    ledger = Ledger(f"sqlite:///{folder}/{n}.sqlite3")
    seed(ledger)
    absorb(ledger, _records(n))
    update(ledger)
    return ledger


def _ours(ledger: Any) -> dict[str, Order]:
    from overparam.feed.search import hybrid, lexical, parse, search

    return {
        "words": lambda text: lexical.ranked(ledger, parse(text), [], limit=100, seconds=60),
        "meaning": lambda text: hybrid._nearest(ledger, parse(text), [], math.inf)[0],
        "both, with claims, sentences and counts": lambda text: [
            hit.article_id for hit in search(ledger, text, budget_seconds=60).hits
        ],
    }


def _peer(ledger: Any) -> Order:
    """Cosine of TF-IDF over words and pairs of words, as arxiv-sanity ranks, on the same texts."""
    import numpy as np
    import sqlalchemy as sa
    from sklearn.feature_extraction.text import TfidfVectorizer

    from overparam.ledger.schema import search_document as document

    with ledger.reading() as db:
        rows = db.execute(sa.select(document)).all()
    words = TfidfVectorizer(stop_words="english", ngram_range=(1, 2), max_features=20_000, sublinear_tf=True)
    papers = words.fit_transform([f"{r.title} {r.authors} {r.abstract} {r.claims}" for r in rows])
    ids = [r.article_id for r in rows]

    def order(text: str) -> list[str]:
        cosine = (papers @ words.transform([text]).T).toarray()[:, 0]
        return [ids[i] for i in np.argsort(-cosine, kind="stable")[:100] if cosine[i] > 0]

    return order


def _ndcg(order: list[str], grades: dict[str, int]) -> float:
    def gain(found: list[int]) -> float:
        return sum((2**grade - 1) / math.log2(rank + 2) for rank, grade in enumerate(found[:10]))

    return gain([grades.get(slug, 0) for slug in order]) / gain(sorted(grades.values(), reverse=True))


def _quality(ledger: Any, judged: list[dict[str, Any]], n: int) -> list[Result]:
    import sqlalchemy as sa

    from overparam.ledger.schema import article

    with ledger.reading() as db:
        slugs = dict(db.execute(sa.select(article.c.id, article.c.slug)).all())
    orders = _ours(ledger) | {"peer": _peer(ledger)}
    score = {
        name: sum(_ndcg([slugs[i] for i in order(e["query"])], e["relevant"]) for e in judged) / len(judged)
        for name, order in orders.items()
    }
    words, meaning, both, peer = score.values()
    found = []
    for name, value, met in (
        ("words", words, None),
        ("meaning", meaning, None),
        ("both", both, both >= max(words, meaning)),
    ):
        target = "at least the better way" if name == "both" else ""
        against = f"TF-IDF cosine {peer:.3f}" if name == "both" else ""
        title = f"nDCG@10 of {len(judged)} queries among {n:,} other papers: {name}"
        found.append(Result(title, f"{value:.3f}", against, "", target, met))
        print(found[-1], flush=True)
    return found


def main() -> list[Result]:
    """Run all."""
    judged = json.loads(JUDGED.read_text())["queries"]
    texts = [entry["query"] for entry in judged]
    results = []
    with tempfile.TemporaryDirectory() as folder:
        small, large = _stocked(folder, 2000), _stocked(folder, 10_000)
        for name, order in _ours(large).items():
            seconds = []
            for text in [*texts[:5], *texts, *texts]:
                start = time.perf_counter()
                order(text)
                seconds.append(time.perf_counter() - start)
            ordered = sorted(1e3 * s for s in seconds[5:])
            limits = (40, 120) if name.startswith("both") else (None, None)
            for share, limit in zip((0.5, 0.95), limits, strict=True):
                value = ordered[int(share * len(ordered))]
                results.append(figure(f"{name}: p{100 * share:.0f}", value, "ms", at_most=limit))
        both, peer = list(_ours(large).values())[2], _peer(large)
        results.append(
            compare(
                f"{len(texts)} queries",
                lambda: [both(text) for text in texts],
                lambda: [peer(text) for text in texts],
                peer_name="scikit-learn TF-IDF, cosine, in memory, ranking alone",
                repeats=5,
            )
        )
        results += _quality(small, judged, 2000) + _quality(large, judged, 10_000)
        small.close()
        large.close()
    return results
