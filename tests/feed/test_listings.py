from datetime import date

import pytest

from overparam.errors import BadInput
from overparam.feed import listings
from overparam.feed.merge import absorb
from overparam.feed.record import Record


def record(n, *, day="2026-11-20", rank=None, votes=0, topics=("theory",)):
    return Record(
        source="huggingface",
        external_id=str(n),
        title=f"Paper number {n}",
        abstract="Text.",
        published_on=f"2026-10-{n % 28 + 1:02d}",
        authors=(f"Author {n}",),
        author_count=1,
        arxiv=f"2610.{n:05d}",
        listed_on=day,
        rank=rank or n + 1,
        votes=votes,
        topics=topics,
    )


def every(ledger, **asked):
    found, after = [], None
    while True:
        page = listings.articles(ledger, after=after, limit=7, **asked)
        found += page.items
        after = page.next
        if after is None:
            return found


@pytest.mark.parametrize("order", listings.ORDERS)
def test_pages_show_every_paper_once_and_in_order(ledger, order):
    absorb(ledger, [record(n, votes=n % 4) for n in range(40)])
    shown = every(ledger, order=order, period=listings.period_of("day", date(2026, 11, 20)))
    assert len(shown) == len({row.id for row in shown}) == 40
    keys = {
        "votes": lambda r: (r.votes + r.votes_elsewhere, -int(r.title.split()[-1])),
        "trending": lambda r: (r.trend_key, r.id),
        "newest": lambda r: (r.published_on, r.id),
    }
    assert [keys[order](r) for r in shown] == sorted((keys[order](r) for r in shown), reverse=True)


def test_a_paper_that_arrives_while_one_reads_moves_nothing(ledger):
    absorb(ledger, [record(n) for n in range(20)])
    first = listings.articles(ledger, order="newest", limit=10)
    absorb(ledger, [record(27)])  # the newest of all
    rest = listings.articles(ledger, order="newest", after=first.next, limit=50)
    assert {r.id for r in first.items} & {r.id for r in rest.items} == set()
    assert len(first.items) + len(rest.items) == 20


def test_within_a_day_the_rank_decides_between_equal_votes(ledger):
    absorb(ledger, [record(1, rank=3), record(2, rank=1), record(3, rank=2)])
    shown = every(ledger, order="votes", period=listings.period_of("day", date(2026, 11, 20)))
    assert [r.title for r in shown] == ["Paper number 2", "Paper number 3", "Paper number 1"]


def test_periods_hold_their_days_and_topics_filter(ledger):
    days = ["2026-11-15", "2026-11-16", "2026-11-22", "2026-11-30", "2026-12-01"]
    absorb(ledger, [record(n, day=d, topics=("theory",) if n % 2 else ("scaling",)) for n, d in enumerate(days)])
    week = listings.parse_period("week", "2026-W47")
    assert (week.first, week.last) == (date(2026, 11, 16), date(2026, 11, 22))
    number = lambda period: listings.total(ledger, period)  # noqa: E731
    assert number(week) == 2
    assert number(listings.parse_period("month", "2026-11")) == 4
    assert len(every(ledger, order="newest", topic="scaling")) == 3
    assert listings.newest_day(ledger) == date(2026, 12, 1)
    assert listings.newest_day(ledger, before=date(2026, 11, 22)) == date(2026, 11, 16)
    assert listings.next_day(ledger, date(2026, 11, 22)) == date(2026, 11, 30)
    assert listings.all_topics(ledger) == ["scaling", "theory"]


def test_a_paper_listed_on_two_days_stands_once_in_the_week(ledger):
    absorb(ledger, [record(1, day="2026-11-16", rank=9), record(1, day="2026-11-17", rank=2)])
    shown = every(ledger, order="votes", period=listings.parse_period("week", "2026-W47"))
    assert len(shown) == 1


@pytest.mark.parametrize(
    ("kind", "name"),
    [("day", "2026-13-01"), ("day", "20261121"), ("week", "2026-W54"), ("week", "2026-47"), ("month", "2026-1"),
     ("day", "'; DROP TABLE article"), ("month", "x" * 500)],
)  # fmt: skip
def test_what_is_no_period_is_refused_with_an_example(kind, name):
    with pytest.raises(BadInput, match="write it like 2026"):
        listings.parse_period(kind, name)


@pytest.mark.parametrize("cursor", ["", "x", "%%%", listings.encode_cursor([1]), listings.encode_cursor(["a", 2]), "é"])
def test_foreign_cursors_are_refused(ledger, cursor):
    with pytest.raises(BadInput, match="take it from the link"):
        listings.articles(ledger, order="votes", after=cursor)


def test_addresses_find_papers_by_key_and_arxiv_id(ledger):
    absorb(ledger, [record(5)])
    row = listings.by_key(ledger, "2610.00005")
    assert row.title == "Paper number 5"
    assert listings.by_key(ledger, row.id).id == row.id
    assert listings.by_key(ledger, "nothing") is None
