import threading

import sqlalchemy as sa

from overparam.feed.limits import allow
from overparam.ledger.schema import rate

NINE, LATER, TEN = (f"2026-11-23T{t}.000000Z" for t in ("09:10:00", "09:59:59", "10:00:00"))


def counted(ledger):
    with ledger.reading() as db:
        return {(r.bucket, r.n) for r in db.execute(sa.select(rate))}


def test_a_window_takes_so_many_and_the_next_begins_anew(ledger):
    ask = lambda at, bucket="a": allow(ledger, bucket, limit=2, per_seconds=3600, now=at)  # noqa: E731
    assert [ask(NINE), ask(NINE), ask(LATER)] == [True, True, False]
    assert ask(LATER, "b")
    assert counted(ledger) == {("a", 2), ("b", 1)}
    assert ask(TEN)
    assert counted(ledger) == {("a", 1)}  # what has ended is gone, for all buckets


def test_no_limit_above_zero_allows_nothing_and_writes_nothing(ledger):
    assert not allow(ledger, "a", limit=0, per_seconds=60, now=NINE)
    assert counted(ledger) == set()


def test_many_at_once_never_pass_the_limit(ledger):
    barrier, found = threading.Barrier(6), []

    def work():
        barrier.wait()
        found.extend(allow(ledger, "a", limit=7, per_seconds=60, now=NINE) for _ in range(3))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(found) == 7
    assert len(found) == 18
