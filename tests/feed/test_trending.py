from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import assume, given
from hypothesis import strategies as st

from overparam.feed.trending import HALF_LIFE_SECONDS, WEIGHTS, add, combine, recompute, score
from overparam.lab.planner import REGULAR
from overparam.ledger.schema import account, article, claim, listing, metric, paper, run, verdict, vote

START = datetime(2026, 11, 1)


def iso(hours):
    return (START + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


events = st.lists(st.tuples(st.sampled_from(sorted(WEIGHTS.values())), st.integers(0, 2000)), min_size=1, max_size=12)


def key(of, shift=0):
    return combine([(weight, iso(hours + shift)) for weight, hours in of])


def by_hand(of, at):
    """Slow oracle: the decayed sum itself."""
    return sum(weight * 2 ** ((hours - at) * 3600 / HALF_LIFE_SECONDS) for weight, hours in of)


@given(events, st.integers(2000, 3000))
def test_the_score_is_the_decayed_sum(of, at):
    assert score(key(of), iso(at)) == pytest.approx(by_hand(of, at))


@given(events, events, st.integers(2000, 3000), st.integers(1, 1000))
def test_time_alone_never_changes_the_order(one, other, at, later):
    assume(abs(key(one) - key(other)) > 1e-9)  # nearer is a tie: ids decide

    def order(moment):
        return score(key(one), iso(moment)) > score(key(other), iso(moment))

    assert order(at) == order(at + later) == (key(one) > key(other))


@given(events, st.integers(0, 3000), st.sampled_from(sorted(WEIGHTS)))
def test_an_event_never_lowers_a_paper(of, at, kind):
    assert combine([(WEIGHTS[kind], iso(at))], key(of)) >= key(of)


@given(events, events, st.integers(-500, 500))
def test_shifting_all_times_keeps_the_order(one, other, shift):
    apart = key(one) - key(other)
    assert key(one, shift) - key(other, shift) == pytest.approx(apart, abs=1e-9)


@given(events, st.randoms())
def test_one_event_at_a_time_in_any_order_equals_all_at_once(of, random):
    shuffled = list(of)
    random.shuffle(shuffled)
    k = None
    for weight, hours in shuffled:
        k = combine([(weight, iso(hours))], k)
    assert k == pytest.approx(key(of), abs=1e-9)


def test_no_event_no_score():
    assert combine([]) is None
    assert score(None, iso(0)) == 0.0


@pytest.fixture
def two(ledger):
    """Two papers with the same text, one of them ours."""
    text = {"title": "t", "title_key": "t", "abstract": "", "authors_json": "[]", "author_count": 0,
            "published_on": "2026-11-01", "listed_on": "2026-11-01", "added_at": iso(0), "updated_at": iso(0)}  # fmt: skip
    with ledger.writing() as db:
        db.execute(sa.insert(paper).values(slug="toy", arxiv="0000.00001", title="t", published_on="2026-11-01"))
        db.execute(sa.insert(article).values(id="a", key="toy", slug="toy", **text))
        db.execute(sa.insert(article).values(id="b", key="b", slug=None, **text))
        db.execute(sa.insert(account).values(id="ada", name="ada", role="member", created_at=iso(0)))
    return ledger


def trend(db, name="a"):
    return db.execute(sa.select(article.c.trend_key).where(article.c.id == name)).scalar()


def write_verdict(db, run_id, at, options):
    row = {"id": run_id, "paper": "toy", "scale": "smoke", "spec_hash": run_id, "options_json": options,
           "state": "succeeded", "engine": "inline", "workers": 1, "attempt": 1, "created_at": at,
           "wall_seconds": 0.0, "provenance_json": "{}"}  # fmt: skip
    db.execute(sa.insert(run).values(**row))
    judged = {"claim": "T1", "paper": "toy", "rule_hash": "r", "status": "partly", "n": 1, "body_json": "{}"}
    db.execute(sa.insert(verdict).values(run_id=run_id, at=at, **judged))


def test_adding_one_by_one_equals_folding_the_rows(two):
    with two.writing() as db:
        recompute(db, "a")
        assert trend(db) is None
        db.execute(
            sa.insert(claim).values(
                paper="toy", claim="T1", rule_hash="r", statement="s", source="x", rule_json="{}", first_seen_at=iso(0)
            )
        )
        for source, day in (("huggingface", "2026-11-02"), ("arxiv", "2026-11-03")):
            db.execute(sa.insert(listing).values(source=source, day=day, article_id="a", rank=1))
            add(db, "a", WEIGHTS["listing"], day)
        db.execute(sa.insert(vote).values(account_id="ada", article_id="a", at=iso(50)))
        add(db, "a", WEIGHTS["vote"], iso(50))
        write_verdict(db, "01", iso(60), REGULAR)
        add(db, "a", WEIGHTS["verdict"], iso(60))
        write_verdict(db, "02", iso(61), '{"custom": ["width=3"], "sabotage": false}')  # does not count
        before = (0, 0)
        for hours, counts in ((30, (10, 2)), (40, (8, 2)), (70, (30, 5))):  # votes elsewhere may be taken back
            db.execute(
                sa.insert(metric).values(
                    article_id="a", source="huggingface", at=iso(hours), votes=counts[0], comments=counts[1]
                )
            )
            add(db, "a", WEIGHTS["elsewhere"] * (counts[0] - before[0]), iso(hours))
            add(db, "a", WEIGHTS["comment"] * (counts[1] - before[1]), iso(hours))
            before = counts
        db.execute(sa.insert(metric).values(article_id="a", source="arxiv", at=iso(5), votes=0, comments=1))
        add(db, "a", WEIGHTS["comment"], iso(5))
        incremental = trend(db)
        recompute(db, "a")
        assert trend(db) == pytest.approx(incremental, abs=1e-9)
        recompute(db, "b")
        assert trend(db, "b") is None
