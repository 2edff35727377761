import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from overparam.feed import trending
from overparam.feed.fetch import fetch, fetch_file, sources_state, standard
from overparam.feed.sources.arxiv import Arxiv
from overparam.feed.sources.huggingface import HuggingFace
from overparam.ledger import Ledger
from overparam.ledger.clock import now, written
from overparam.ledger.schema import (
    article,
    article_source,
    article_topic,
    article_version,
    listing,
    merge_conflict,
    metric,
    source_state,
)

FIXTURES = Path(__file__).parent / "fixtures"
NOW, LATER = "2026-11-23T10:00:00.000000Z", "2026-11-23T11:00:00.000000Z"
KEPT = (article, article_source, article_topic, article_version, listing, metric, merge_conflict)


def item(number, votes=1):
    paper = {"id": f"2611.{number:05d}", "title": f"Paper {number}", "summary": "S.", "upvotes": votes, "authors": []}
    return {"paper": {**paper, "publishedAt": "2026-11-15T00:00:00.000Z"}, "numComments": 0}


def daily(per_day=3):
    """Answer like Daily Papers: other papers every day."""

    def answer(query):
        day = int(query["date"][-2:])
        return json.dumps([item(100 * day + n) for n in range(per_day)]).encode()

    return answer


def hugging_face(server, **fields):
    return HuggingFace(server.address, server.network(**fields), interval=0.0)


def arxiv(server, **fields):
    api, oai = f"{server.address}/api/query", f"{server.address}/oai"
    return Arxiv(("cs.LG",), (), api, oai, server.network(**fields), interval=0.0)


def tables(ledger, *, names_only=False):
    """Return the rows; without ids and times if two ledgers are compared."""
    with ledger.reading() as db:
        names = dict(db.execute(sa.select(article.c.id, article.c.title)).all())
        found = {}
        for table in KEPT:
            rows = [dict(row._mapping) for row in db.execute(sa.select(table))]
            if names_only:
                for row in rows:
                    row.pop("id", None)
                    row["article_id"] = names.get(row.get("article_id"))
                    for column in ("added_at", "updated_at", "fetched_at", "at"):
                        row.pop(column, None)
                    if row.get("trend_key"):
                        row["trend_key"] = round(row["trend_key"], 9)
            found[table.name] = sorted(map(str, rows))
    return found


def state(ledger, source):
    with ledger.reading() as db:
        return db.execute(sa.select(source_state).where(source_state.c.source == source)).one()


def test_a_week_comes_in_and_a_replay_changes_no_row(ledger, server):
    server.routes["/api/daily_papers"] = daily()
    [report] = fetch(ledger, [hugging_face(server)], now=NOW)
    assert (report.absorbed.added, report.steps, report.error) == (21, 7, None)
    before = tables(ledger)
    [report] = fetch(ledger, [hugging_face(server)], now=LATER)
    assert (report.absorbed.unchanged, report.absorbed.added, report.absorbed.updated) == (21, 0, 0)
    assert tables(ledger) == before
    assert state(ledger, "huggingface").succeeded_at == LATER


def test_votes_move_when_days_are_read_again(ledger, server):
    votes = [5]
    server.routes["/api/daily_papers"] = lambda query: json.dumps([item(1, votes[0])]).encode()
    fetch(ledger, [hugging_face(server)], days=1, now=NOW)
    votes[0] = 17
    [report] = fetch(ledger, [hugging_face(server)], days=1, now=LATER)
    assert report.absorbed.updated == 1
    with ledger.reading() as db:
        row = db.execute(sa.select(article)).one()
    day = "2026-11-23T00:00:00.000000Z"
    assert row.votes_elsewhere == 17
    events = [(1.0, day), (0.5, day), (1.2, LATER)]
    assert row.trend_key == pytest.approx(trending.combine(events))


def test_both_sources_meet_in_one_article(ledger, server):
    server.routes["/api/daily_papers"] = lambda query: (FIXTURES / "daily_papers.json").read_bytes()
    server.routes["/api/query"] = lambda query: (FIXTURES / "query.atom").read_bytes()
    reports = fetch(ledger, [hugging_face(server), arxiv(server)], days=1, now=NOW)
    assert [r.absorbed.added for r in reports] == [3, 2]
    with ledger.reading() as db:
        row = db.execute(sa.select(article).where(article.c.arxiv == "2611.00001")).one()
    assert (row.version, row.votes_elsewhere, row.code_url) == (2, 86, "https://github.com/ada/wide")
    assert row.title == "Wide networks memorise $x < y$"


def test_a_source_that_fails_is_degraded_and_the_other_is_read(ledger, server):
    answers = [b"not json"]
    server.routes["/api/daily_papers"] = lambda query: answers[0]
    server.routes["/api/query"] = lambda query: (FIXTURES / "query.atom").read_bytes()
    started = now()
    first, second = fetch(ledger, [hugging_face(server), arxiv(server)], days=1, now=started)
    assert "no JSON" in first.error
    assert (second.error, second.absorbed.added) == (None, 3)
    broken = state(ledger, "huggingface")
    assert (broken.message, broken.tried_at, broken.succeeded_at) == (first.error, started, None)
    late = datetime.fromisoformat(broken.degraded_until) - datetime.fromisoformat(started)
    assert late == timedelta(minutes=15)
    answers[0] = b"[]"
    fetch(ledger, [hugging_face(server)], days=1, now=LATER)
    healed = state(ledger, "huggingface")
    assert (healed.message, healed.degraded_until, healed.succeeded_at) == (None, None, LATER)


def test_a_long_pause_asked_for_is_kept_but_ends(ledger, server):
    server.routes["/api/daily_papers"] = lambda query: (429, {"Retry-After": "7200"}, b"")
    started = datetime.now(UTC)
    [report] = fetch(ledger, [hugging_face(server)], days=1, now=written(started))
    assert "120 minutes of rest" in report.error
    until = datetime.fromisoformat(state(ledger, "huggingface").degraded_until)
    assert timedelta(minutes=119) < until - started < timedelta(minutes=122)
    with ledger.writing() as db:  # two hours later
        db.execute(sa.update(source_state).values(next_allowed_at=""))
    server.routes["/api/daily_papers"] = daily()
    [report] = fetch(ledger, [hugging_face(server)], days=1)
    assert report.error is None


def test_a_failure_in_the_middle_keeps_what_came_before(ledger, server):
    def answer(query):
        return (403, {}, b"") if query["date"] == "2026-11-20" else daily()(query)

    server.routes["/api/daily_papers"] = answer
    [report] = fetch(ledger, [hugging_face(server)], now=NOW)
    assert (report.steps, report.absorbed.added) == (3, 9)
    assert "HTTP 403" in report.error
    server.routes["/api/daily_papers"] = daily()
    server.asked.clear()
    [report] = fetch(ledger, [hugging_face(server)], now=LATER)
    assert (report.steps, report.absorbed.added, report.error) == (4, 12, None)
    assert server.asked[0][1]["date"] == "2026-11-20"


def test_hostile_answers_become_plain_text(ledger, server):
    paper = {"id": "2611.00001", "title": "<b>\u202eevil\x00</b> " + "y" * 10_000, "summary": "\ud800<script>"}
    body = json.dumps([{"paper": paper}, {"paper": {"id": "\x00", "title": "x"}}]).encode()
    server.routes["/api/daily_papers"] = lambda query: body
    [report] = fetch(ledger, [hugging_face(server)], days=1, now=NOW)
    assert (report.absorbed.added, len(report.problems)) == (1, 1)
    with ledger.reading() as db:
        row = db.execute(sa.select(article)).one()
    assert row.title.startswith("<b>evil</b> yyy")
    assert (len(row.title), row.abstract) == (1_000, "<script>")
    assert "could not be read" in state(ledger, "huggingface").message


def test_a_file_comes_in_twice_and_once(ledger, tmp_path):
    path = tmp_path / "papers.jsonl"
    entries = [{"id": f"2611.{n:05d}", "title": f"Paper {n}", "listed": "2026-11-20"} for n in range(30)]
    path.write_text("\n".join([*map(json.dumps, entries), "{"]))
    seen = []
    report = fetch_file(ledger, path, now=NOW, progress=lambda *words: seen.append(words[:2]))
    assert (report.source, report.absorbed.added, len(report.problems)) == ("papers.jsonl", 30, 1)
    assert report.problems[0].startswith("line 31: no JSON")
    assert seen == [("papers.jsonl", "30 entries")]
    before = tables(ledger)
    assert fetch_file(ledger, path, now=LATER).absorbed.unchanged == 30
    assert tables(ledger) == before


def test_how_current_the_sources_are(ledger, server):
    assert sources_state(ledger) == []
    server.routes["/api/daily_papers"] = daily()
    server.routes["/api/query"] = lambda query: (500, {}, b"")
    fetch(ledger, [hugging_face(server), arxiv(server, attempts=1)], days=1, now=NOW)
    failed, good = sources_state(ledger, now=LATER)
    assert (good.source, good.age_seconds, good.stale, good.message) == ("huggingface", 3600.0, False, None)
    assert (failed.source, failed.age_seconds, failed.stale) == ("arxiv", None, True)
    assert "HTTP 500" in failed.message
    assert sources_state(ledger, now="2026-11-24T17:00:00.000000Z")[1].stale


def test_the_usual_sources():
    both = standard()
    assert [s.name for s in both] == ["huggingface", "arxiv"]
    assert "2509.02522" in both[1].ids
    assert len(both[1].ids) >= 36
    assert [s.name for s in standard(["arxiv"], categories=["math.OC"])] == ["arxiv"]
    assert both[0].network.hosts == {"huggingface.co"}
    assert both[0].network.schemes == both[1].network.schemes == {"https"}


KILLED = """
import os, signal, sys
from overparam.feed import fetch as feed, merge
from overparam.feed.shelf import Shelf
from overparam.feed.sources.huggingface import HuggingFace
from overparam.feed.sources.transport import Network
from overparam.ledger import Ledger
where, count = sys.argv[3].split(":")
calls = [0]

def dying(function):
    def wrapped(*a, **k):
        calls[0] += 1
        if calls[0] == int(count) and where.startswith("before"):
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*a, **k)
        if calls[0] == int(count):
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return wrapped

if where.endswith("flush"):
    Shelf.flush = dying(Shelf.flush)
elif where.endswith("absorb"):
    feed.absorb = dying(feed.absorb)
host = sys.argv[2]
network = Network(frozenset({host}), frozenset({"http"}), allowed=lambda a: True)
source = HuggingFace(f"http://{host}", network, interval=0.0)
progress = dying(lambda *a: None) if where.endswith("commit") else None
feed.fetch(Ledger(sys.argv[1]), [source], now="2026-11-23T10:00:00.000000Z", progress=progress)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "point", ["before flush:1", "after flush:3", "after absorb:4", "after commit:5", "after commit:7"]
)
def test_killed_anywhere_and_run_again(ledger, url, server, tmp_path, point):
    server.routes["/api/daily_papers"] = daily()
    run = [
        sys.executable,
        "-c",
        KILLED,
        url,
        server.host,
        point.replace("after ", "after").replace("before ", "before"),
    ]
    assert subprocess.run(run, env=dict(os.environ), timeout=60).returncode == -9
    asked = len(server.asked)
    undisturbed = Ledger(f"sqlite:///{tmp_path / 'other.sqlite3'}")
    fetch(undisturbed, [hugging_face(server)], now=NOW)
    server.asked.clear()
    fetch(ledger, [hugging_face(server)], now=NOW)
    assert tables(ledger, names_only=True) == tables(undisturbed, names_only=True)
    kept = {"before flush:1": 0, "after flush:3": 2, "after absorb:4": 3, "after commit:5": 5, "after commit:7": 0}
    assert len(server.asked) == 7 - kept[point]
    assert asked == min(7, int(point[-1]))
    undisturbed.close()


@pytest.mark.slow
def test_two_machines_at_once_add_each_paper_once(ledger, url, server):
    server.routes["/api/daily_papers"] = daily(20)
    run = [sys.executable, "-c", KILLED, url, server.host, "never:0"]
    workers = [subprocess.Popen(run) for _ in range(2)]
    assert [w.wait(60) for w in workers] == [0, 0]
    with ledger.reading() as db:
        assert db.execute(sa.select(sa.func.count()).select_from(article)).scalar() == 140
        assert db.execute(sa.select(sa.func.count()).select_from(merge_conflict)).scalar() == 0


def test_progress_is_told(ledger, server):
    server.routes["/api/daily_papers"] = daily()
    told = []
    fetch(ledger, [hugging_face(server)], days=2, now=NOW, progress=lambda *words: told.append(words))
    assert [(source, label, result.added) for source, label, result in told] == [
        ("huggingface", "2026-11-22", 3),
        ("huggingface", "2026-11-23", 3),
    ]
