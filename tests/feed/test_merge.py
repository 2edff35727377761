import dataclasses
import json
import unicodedata
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from overparam.feed import merge, trending
from overparam.feed.identity import doi, name_key
from overparam.feed.merge import absorb, arxiv_id, title_key
from overparam.feed.record import LARGEST, Record, link, tidied
from overparam.lab.registry import papers
from overparam.ledger.schema import (
    article,
    article_source,
    article_topic,
    article_version,
    listing,
    merge_conflict,
    metric,
    paper,
)

NOW, LATER = "2026-11-23T10:00:00.000000Z", "2026-11-24T10:00:00.000000Z"
TABLES = (article, article_source, article_topic, article_version, listing, metric, merge_conflict)
FIRST = Record(
    source="huggingface",
    external_id="2611.00001",
    title="Wide networks memorise",
    abstract="They do.",
    published_on="2026-11-20",
    authors=("Ada Lovelace", "Max Noether"),
    author_count=2,
    arxiv="2611.00001",
    topics=("cs.LG",),
    listed_on="2026-11-21",
    rank=3,
    votes=12,
    comments=2,
    discussion_url="https://huggingface.co/papers/2611.00001",
)


def change(record=FIRST, **fields):
    return dataclasses.replace(record, **fields)


def tables(ledger):
    with ledger.reading() as db:
        return {t.name: sorted(map(tuple, db.execute(sa.select(t))), key=str) for t in TABLES}


def rows(ledger, table):
    with ledger.reading() as db:
        return db.execute(sa.select(table)).all()


def only(ledger):
    [row] = rows(ledger, article)
    return row


def test_a_new_paper_fills_every_table(ledger):
    result = absorb(ledger, [FIRST], now=NOW)
    row = only(ledger)
    assert (result.added, result.updated, result.unchanged, result.conflicts) == (1, 0, 0, 0)
    assert result.ids == (row.id,)
    assert (row.key, row.votes, row.votes_elsewhere, row.comments) == ("2611.00001", 0, 12, 2)
    assert row.listed_on == "2026-11-21"
    assert row.discussion_url == FIRST.discussion_url
    assert [r.topic for r in rows(ledger, article_topic)] == ["cs.LG"]
    assert [(r.day, r.rank) for r in rows(ledger, listing)] == [("2026-11-21", 3)]
    assert [(r.version, r.title) for r in rows(ledger, article_version)] == [(1, FIRST.title)]


def test_the_same_again_writes_nothing(ledger):
    absorb(ledger, [FIRST], now=NOW)
    before = tables(ledger)
    result = absorb(ledger, [FIRST], now=LATER)
    assert (result.added, result.updated, result.unchanged, result.ids) == (0, 0, 1, ())
    assert tables(ledger) == before


def test_events_of_trending_are_timed_by_the_listing(ledger):
    absorb(ledger, [FIRST], now=NOW)
    day = "2026-11-21T00:00:00.000000Z"
    first = trending.combine([(1.0, day), (1.2, day), (1.0, day)])  # listed, 12 votes, 2 comments
    assert only(ledger).trend_key == pytest.approx(first)
    absorb(ledger, [change(votes=22)], now=LATER)
    assert only(ledger).trend_key == pytest.approx(trending.combine([(1.0, LATER)], first))
    absorb(ledger, [change(votes=5)], now=LATER)
    assert only(ledger).trend_key == pytest.approx(trending.combine([(1.0, LATER)], first))
    assert only(ledger).votes_elsewhere == 5


def test_votes_add_up_over_sources_and_comments_take_the_largest(ledger):
    other = change(source="file", votes=3, comments=9, discussion_url="https://forum.example/1")
    absorb(ledger, [FIRST, other], now=NOW)
    row = only(ledger)
    assert (row.votes_elsewhere, row.comments, row.discussion_url) == (15, 9, "https://forum.example/1")
    absorb(ledger, [change(votes=20)], now=LATER)
    row = only(ledger)
    assert (row.votes_elsewhere, row.comments, row.discussion_url) == (23, 9, "https://forum.example/1")


def test_a_metric_is_kept_only_when_it_changed(ledger):
    for votes, now in ((12, NOW), (12, LATER), (13, LATER)):
        absorb(ledger, [change(votes=votes, abstract=f"They do, {now}.")], now=now)
    found = sorted((r.at, r.votes) for r in rows(ledger, metric))
    assert found == [("2026-11-21T00:00:00.000000Z", 12), (LATER, 13)]


def test_a_newer_version_wins_and_history_keeps_the_older(ledger):
    absorb(ledger, [FIRST], now=NOW)
    arxiv = change(source="arxiv", title="Wide networks memorise less", version=3, topics=("stat.ML",), votes=None)
    absorb(ledger, [change(arxiv, abstract="")], now=LATER)
    row = only(ledger)
    assert (row.title, row.version, row.updated_at) == ("Wide networks memorise less", 3, LATER)
    assert row.abstract == "They do."
    assert {r.topic for r in rows(ledger, article_topic)} == {"cs.LG", "stat.ML"}
    absorb(ledger, [change(arxiv, source="file", version=2, title="Middle")], now=LATER)
    assert only(ledger).title == "Wide networks memorise less"
    assert sorted((r.version, r.title) for r in rows(ledger, article_version)) == [
        (1, "Wide networks memorise"),
        (2, "Middle"),
        (3, "Wide networks memorise less"),
    ]


def test_of_one_version_arxiv_is_believed_in_any_order(ledger):
    arxiv = change(source="arxiv", title="Wide Networks Memorise", abstract="They do, $O(n)$.", votes=None)
    scrape = change(source="file", external_id="x", abstract="", authors=(), author_count=2, votes=None, arxiv=None)
    for order in ((scrape, FIRST, arxiv), (arxiv, scrape, FIRST)):
        absorb(ledger, order, now=NOW)
        assert (only(ledger).title, only(ledger).abstract) == ("Wide Networks Memorise", "They do, $O(n)$.")
    assert {r.source for r in rows(ledger, article_source)} == {"arxiv", "huggingface", "file"}


def test_a_poorer_record_takes_nothing_away(ledger):
    absorb(ledger, [FIRST], now=NOW)
    poor = change(abstract="", authors=(), author_count=0, topics=(), votes=None, comments=None, discussion_url=None)
    absorb(ledger, [poor, change(poor, source="arxiv", author_count=7)], now=LATER)
    before, row = FIRST, only(ledger)
    assert (row.abstract, json.loads(row.authors_json), row.author_count) == (before.abstract, list(before.authors), 2)
    assert (row.votes_elsewhere, row.comments, row.discussion_url) == (12, 2, before.discussion_url)


def test_names_replace_a_mere_count(ledger):
    absorb(ledger, [change(authors=(), author_count=5)], now=NOW)
    assert only(ledger).author_count == 5
    absorb(ledger, [change(source="file")], now=LATER)
    assert (only(ledger).author_count, json.loads(only(ledger).authors_json)) == (2, list(FIRST.authors))


def test_withdrawn_stays_and_is_marked(ledger):
    absorb(ledger, [FIRST, change(source="arxiv", version=2, withdrawn=True)], now=NOW)
    absorb(ledger, [change(votes=13)], now=LATER)
    assert only(ledger).withdrawn is True
    assert len(rows(ledger, article_version)) == 2


def test_a_paper_of_ours_keeps_its_slug(ledger):
    with ledger.writing() as db:
        db.execute(sa.insert(paper).values(slug="wide", arxiv="2611.00001", title="W", published_on="2026-11-20"))
    ours = change(source="overparam", external_id="wide", slug="wide", abstract="", votes=None, listed_on=None)
    absorb(ledger, [FIRST], now=NOW)
    absorb(ledger, [ours], now=NOW)
    assert (only(ledger).key, only(ledger).slug) == ("wide", "wide")
    absorb(ledger, [change(source="arxiv", version=2), change(votes=50)], now=LATER)
    assert (only(ledger).key, only(ledger).arxiv) == ("wide", "2611.00001")


def test_a_title_with_author_or_day_is_enough(ledger):
    plain = change(arxiv=None, votes=None, comments=None)
    absorb(ledger, [plain], now=NOW)
    same_author = change(plain, source="file", external_id="a", authors=("A. Lovelace",), published_on="2026-01-01")
    same_day = change(plain, source="file", external_id="b", authors=(), title="WIDE   networks: memorise!")
    assert absorb(ledger, [same_author, same_day], now=NOW).conflicts == 0
    assert len(rows(ledger, article)) == 1
    absorb(ledger, [change(source="arxiv", external_id="2611.00001")], now=NOW)
    assert only(ledger).key == "2611.00001"


def test_a_title_alone_waits_for_a_person(ledger):
    absorb(ledger, [change(arxiv=None)], now=NOW)
    other = change(source="file", external_id="z", arxiv=None, authors=("Carl Gauss",), published_on="2020-01-01")
    for _ in range(2):
        assert absorb(ledger, [other], now=NOW).conflicts == 1
    [row] = rows(ledger, merge_conflict)
    assert json.loads(row.candidates_json) == [only(ledger).id]
    assert "only the title" in row.reason
    absorb(ledger, [change(other, authors=FIRST.authors)], now=NOW)
    assert rows(ledger, merge_conflict) == []


def test_names_without_letters_are_nobody(ledger):
    plain = change(arxiv=None, votes=None, comments=None, authors=("?",))
    other = change(plain, source="file", authors=("…",), published_on="2020-01-01")
    assert absorb(ledger, [plain, other], now=NOW).conflicts == 1


def test_identifiers_of_two_papers_wait_for_a_person(ledger):
    second = change(external_id="2611.00002", arxiv="2611.00002", title="Another", doi="10.1/two")
    absorb(ledger, [FIRST, second], now=NOW)
    before = tables(ledger)
    bad = change(source="file", external_id="bad", arxiv="2611.00001", doi="10.1/two")
    moved = change(arxiv="2611.00002")
    renamed = change(arxiv="2611.77777")
    assert absorb(ledger, [bad, moved, renamed], now=NOW).conflicts == 3
    after = tables(ledger)
    assert {r[2] for r in after.pop("merge_conflict")} == {"bad", "2611.00001"}
    before.pop("merge_conflict")
    assert after == before


def test_two_identifiers_are_two_papers_whatever_the_title(ledger):
    again = change(external_id="2611.00009", arxiv="2611.00009")
    assert absorb(ledger, [FIRST, again], now=NOW).added == 2


def test_doi_joins_and_old_style_identifiers_too(ledger):
    first = change(arxiv="quant-ph/0201082", external_id="quant-ph/0201082", doi="10.1103/x", title="Old")
    absorb(ledger, [first], now=NOW)
    absorb(ledger, [change(source="file", external_id="f", arxiv=None, doi="10.1103/X", title="Other title")], now=NOW)
    assert only(ledger).key == "quant-ph/0201082"


def test_papers_of_ours_do_not_merge_into_each_other(ledger):
    seeds = [
        Record("file", p.slug, p.title, "", p.published.isoformat(), author_count=p.author_count)
        for p in (entry.paper for entry in papers().values())
    ]
    assert len(seeds) >= 36
    result = absorb(ledger, seeds, now=NOW)
    assert (result.added, result.conflicts) == (len(seeds), 0)
    named = [dataclasses.replace(r, source="arxiv", arxiv=papers()[r.external_id].paper.arxiv) for r in seeds]
    assert absorb(ledger, named, now=NOW).added == 0
    assert len({title_key(r.title) for r in seeds}) == len(seeds)


def test_hostile_records_are_kept_as_plain_text(ledger):
    nasty = change(
        title="<script>alert(1)</script>\x00\x1b[31m \u202egnp.exe\ud800 " + "x" * 10_000,
        abstract="one\r\nline\x00\n\n<img onerror=1>",
        authors=("Bobby'); DROP TABLE article;--\u202e", "", "a" * 5_000),
        votes=10**12,
        comments=-4,
        code_url="javascript:alert(1)",
        raw={"title": "\x00\ud800"},
    )
    absorb(ledger, [nasty], now=NOW)
    row = only(ledger)
    assert row.title.startswith("<script>alert(1)</script>[31m gnp.exe xxx")
    assert len(row.title) == 1_000
    assert row.abstract == "one line\n\n<img onerror=1>"
    assert not any(unicodedata.category(c) in {"Cc", "Cf", "Cs"} for c in row.title + row.authors_json)
    assert (row.votes_elsewhere, row.comments, row.code_url) == (LARGEST, 0, None)
    assert absorb(ledger, [nasty], now=LATER).unchanged == 1


def test_all_or_nothing(ledger, monkeypatch):
    monkeypatch.setattr(merge, "BATCH", 10)

    class Broken(Exception):
        pass

    def records():
        yield from (change(external_id=str(n), arxiv=None, title=f"T{n}") for n in range(25))
        raise Broken

    with pytest.raises(Broken):
        absorb(ledger, records(), now=NOW)
    assert rows(ledger, article) == []


def test_records_of_one_batch_meet(ledger):
    result = absorb(ledger, [FIRST, change(source="arxiv", version=2), FIRST, change(source="file")], now=NOW)
    assert (result.added, result.updated, len(rows(ledger, article))) == (1, 0, 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2509.02522", ("2509.02522", None)),
        ("arXiv:2509.02522v12", ("2509.02522", 12)),
        ("http://arxiv.org/abs/quant-ph/0201082v1", ("quant-ph/0201082", 1)),
        ("https://arxiv.org/pdf/1706.03762v5.pdf", ("1706.03762", 5)),
        ("oai:arXiv.org:math/0601001", ("math/0601001", None)),
        ("https://huggingface.co/papers/2509.02522#community", ("2509.02522", None)),
        ("https://doi.org/10.48550/arXiv.2509.02522", ("2509.02522", None)),
        ("2513.02522", None),
        ("2509.02522; DROP TABLE", None),
        ("https://evil.example/abs/2509.02522", None),
        ("hello", None),
        ("", None),
    ],
)
def test_arxiv_id(text, expected):
    assert arxiv_id(text) == expected


def test_other_keys():
    assert title_key("Ｄeep—Learning:  a\u00a0Straße №1") == "deeplearningastrasseno1"
    assert title_key("?!") == ""
    assert name_key("Levent Sagun") == name_key("Sagun, L.") == "sagun l"
    assert doi("https://doi.org/10.1103/PhysRev.X.") == "10.1103/physrev.x"
    assert doi("10.48550/arXiv.2509.02522") is None
    assert link("https://user\u202e.example/") is None
    assert link("data:text/html,x") is None
    assert link("https://github.com/a/b") == "https://github.com/a/b"


@settings(max_examples=50)
@given(st.text(max_size=100))
def test_keys_and_texts_are_stable(text):
    assert title_key(title_key(text)) == title_key(text)
    record = Record("file", "x", text, text, "2026-01-01", authors=(text,))
    assert tidied(tidied(record)) == tidied(record)
    tidied(record).title.encode()


@pytest.mark.slow
def test_real_records_at_load(ledger):
    import gzip
    import os

    path = Path(os.environ.get("OVERPARAM_DATA", "")) / "arxiv-ml" / "arxiv_ml.jsonl.gz"
    if not path.is_file():
        pytest.skip("set OVERPARAM_DATA to the folder that holds arxiv-ml")
    with gzip.open(path, "rt") as file:
        items = [json.loads(line) for _, line in zip(range(2_000), file, strict=False)]
    records = [
        Record("file", r["id"], r["title"], r["abstract"], r["listed"], tuple(r["authors"]), arxiv=r["id"],
               topics=tuple(r["categories"]), listed_on=r["listed"], rank=n)
        for n, r in enumerate(items, 1)
    ]  # fmt: skip
    assert absorb(ledger, records, now=NOW).added == 2_000
    assert absorb(ledger, records, now=LATER).unchanged == 2_000
