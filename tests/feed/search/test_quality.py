"""Judged queries among 2,000 other papers: the two ways together must be at least as good as the better of them."""

import gzip
import json
import math
import os
from pathlib import Path

import pytest
import sqlalchemy as sa

from overparam.feed.merge import absorb
from overparam.feed.record import Record
from overparam.feed.search import hybrid, parse, search, update
from overparam.feed.seed import seed
from overparam.lab.registry import papers
from overparam.ledger.schema import article

JUDGED = json.loads((Path(__file__).parent / "judged.json").read_text())["queries"]
RECORDS = Path(os.environ.get("OVERPARAM_DATA", "")) / "arxiv-ml" / "arxiv_ml.jsonl.gz"


def ndcg(order, grades):
    gain = lambda found: sum((2**grade - 1) / math.log2(rank + 2) for rank, grade in enumerate(found[:10]))  # noqa: E731
    return gain([grades.get(slug, 0) for slug in order]) / gain(sorted(grades.values(), reverse=True))


def test_judged_queries_name_papers_that_exist():
    assert len(JUDGED) >= 60
    assert len({entry["query"] for entry in JUDGED}) == len(JUDGED)
    assert {slug for entry in JUDGED for slug in entry["relevant"]} <= set(papers())


@pytest.mark.slow
@pytest.mark.skipif(not RECORDS.is_file(), reason="needs arxiv-ml in OVERPARAM_DATA")
def test_together_they_are_no_worse_than_the_better_one(ledger):
    seed(ledger)
    with gzip.open(RECORDS, "rt") as file:
        rows = [json.loads(line) for line, _ in zip(file, range(2000), strict=False)]
    absorb(
        ledger,
        (
            Record(
                source="arxiv",
                external_id=row["id"],
                arxiv=row["id"],
                title=row["title"],
                abstract=row["abstract"],
                authors=tuple(row["authors"]),
                author_count=len(row["authors"]),
                published_on=row["listed"],
            )
            for row in rows
        ),
    )
    update(ledger)
    with ledger.reading() as db:
        slugs = dict(db.execute(sa.select(article.c.id, article.c.slug)).all())
    score = {"words": 0.0, "meaning": 0.0, "both": 0.0}
    for entry in JUDGED:
        query = parse(entry["query"])
        orders, _, _ = hybrid._both(ledger, query, [], 10)
        orders["both"] = [hit.article_id for hit in search(ledger, query, budget_seconds=10).hits]
        for way, order in orders.items():
            score[way] += ndcg([slugs[name] for name in order], entry["relevant"]) / len(JUDGED)
    assert score["both"] >= max(score["words"], score["meaning"]), score
    assert score["both"] >= 0.9, score
