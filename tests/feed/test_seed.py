import json
from pathlib import Path

import pytest
import sqlalchemy as sa

from overparam.errors import Unavailable
from overparam.feed import listings
from overparam.feed.seed import LISTED, bring_in, seed
from overparam.lab import evidence
from overparam.lab.document import document
from overparam.lab.registry import find, papers
from overparam.ledger.schema import article, run, verdict

EVIDENCE = Path(__file__).parents[2] / "evidence"


def test_a_new_ledger_shows_a_full_day_with_what_held(ledger):
    added = seed(ledger)
    assert added == len(list(EVIDENCE.glob("*/*.json")))
    day = listings.articles(ledger, order="votes", period=listings.period_of("day", LISTED), limit=100)
    assert [row.slug for row in day.items] == [slug for slug, e in papers().items() if e.paper.order]
    with ledger.reading() as db:
        judged = {row.paper for row in db.execute(sa.select(verdict.c.paper).distinct())}
    assert judged == {path.parent.name for path in EVIDENCE.glob("*/*.json")}


def test_seeding_again_changes_nothing(ledger):
    seed(ledger)
    with ledger.reading() as db:
        before = [db.execute(sa.select(table)).all() for table in (article, run, verdict)]
    assert seed(ledger) == 0
    with ledger.reading() as db:
        assert [db.execute(sa.select(table)).all() for table in (article, run, verdict)] == before


def test_judged_papers_trend_above_those_that_are_only_listed(ledger):
    seed(ledger)
    trend = listings.articles(ledger, order="trending", limit=100).items
    judged = [row.slug in {p.parent.name for p in EVIDENCE.glob("*/*.json")} for row in trend]
    assert judged == sorted(judged, reverse=True)


def test_evidence_reads_back_as_it_was_written(ledger):
    seed(ledger)
    path = EVIDENCE / "step-law" / "laptop.json"
    written = evidence.read(path)
    back = document(find("step-law"), ledger, written["run"])
    for key in ("verdicts", "trials", "cost", "failures", "state", "scale", "started_at", "ended_at"):
        assert back[key] == (
            [{**v, "supersedes": None} for v in written[key]] if key == "verdicts" else written[key]
        ), key


def test_a_claim_that_is_gone_is_left_out(ledger):
    seed(ledger)
    text = evidence.read(EVIDENCE / "step-law" / "laptop.json")
    gone = {**text["verdicts"][0], "claim": "C99"}
    assert bring_in(ledger, {**text, "run": "01AAAAAAAAAAAAAAAAAAAAAAAA", "verdicts": [gone]})
    with ledger.reading() as db:
        assert not db.execute(sa.select(verdict).where(verdict.c.claim == "C99")).first()


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "laptop.json").write_text(json.dumps({"paper": "step-law"})[:-3])
    with pytest.raises(Unavailable, match=r"laptop.json cannot be read"):
        evidence.read(tmp_path / "laptop.json")
