import dataclasses
import sqlite3

import pytest
import sqlalchemy as sa

from overparam.errors import Unavailable
from overparam.feed.merge import absorb
from overparam.feed.search import parse, update
from overparam.feed.search.lexical import conditions, ranked
from overparam.ledger.schema import article, search_document

from .conftest import shelf


def found(ledger, titles, text, **options):
    query = parse(text)
    filters = conditions(ledger.engine.dialect.name, query, None)
    return [titles[name] for name in ranked(ledger, query, filters, **{"limit": 100, "seconds": 5, **options})]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("noisy labels", "Long tails and memorisation"),
        ("memorization", "Long tails and memorisation"),
        ("generalisation of behaviour", "Generalization of wide networks"),
        ("nunez", "Generalization of wide networks"),
        ("FELDMAN", "Long tails and memorisation"),
        ('"early stopping"', "A diet for data"),
        ("parameter-efficient", "Adapters and prefixes"),
        ("c++", "Sharpness for free"),
        ("code base", "Sharpness for free"),
    ],
)
def test_words_find_the_paper(stocked, titles, text, first):
    assert found(stocked, titles, text)[0] == first


def test_papers_with_all_words_come_before_those_with_some(stocked, titles):
    assert found(stocked, titles, "gradients early noisy")[0] == "Coherent gradients"
    order = found(stocked, titles, "noisy labels")
    assert order[0] == "Long tails and memorisation"
    assert set(order) == {"Long tails and memorisation", "A diet for data", "Coherent gradients"}


def test_a_phrase_is_these_words_in_this_order(stocked, titles):
    assert found(stocked, titles, '"stopping early"') == ["Coherent gradients"]
    assert found(stocked, titles, '"wrong labels" noisy') == ["A diet for data"]
    assert found(stocked, titles, '"labels wrong"') == []
    assert found(stocked, titles, '"!!"') == []


def test_what_is_excluded_is_left_out(stocked, titles):
    assert found(stocked, titles, "noisy -gradient") == ["Long tails and memorisation"]
    assert found(stocked, titles, 'early -"stopping early"') == ["A diet for data"]


@pytest.mark.parametrize("text", ["100%", "code_base", "lab*", "lab%", "l_bels", "^noisy", "title:noisy", "noisy'"])
def test_wildcards_and_syntax_are_literals(stocked, titles, text):
    with_letters_only = "".join(c if c.isalnum() else " " for c in text)
    assert found(stocked, titles, text) == found(stocked, titles, f'"{with_letters_only}"')
    assert found(stocked, titles, "lab*") == []


def test_the_index_follows_changes_and_deletions(stocked, titles):
    first = dataclasses.replace(next(shelf()), title="Short heads", version=2)
    absorb(stocked, [first], now="2026-11-24T10:00:00.000000Z")
    assert found(stocked, titles, "tails") == ["Long tails and memorisation"]
    assert update(stocked) == 1
    assert found(stocked, titles, "tails") == []
    assert len(found(stocked, titles, "heads")) == 1
    with stocked.writing() as db:
        db.execute(sa.delete(article).where(article.c.title == "Short heads"))
    assert found(stocked, titles, "heads") == []
    with stocked.writing() as db:
        assert db.scalar(sa.select(sa.func.count()).select_from(search_document)) == 5
        if stocked.engine.dialect.name == "sqlite":  # raises if index and documents differ
            db.exec_driver_sql("INSERT INTO search_words (search_words, rank) VALUES ('integrity-check', 1)")


def test_running_out_of_time_is_said(stocked, titles):
    with pytest.raises(Unavailable, match="took too long"):
        found(stocked, titles, "noisy", seconds=0)
    assert found(stocked, titles, "noisy")


def test_a_statement_that_runs_on_is_interrupted(stocked):
    import time

    from overparam.feed.search.lexical import within

    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    start = time.monotonic()
    with stocked.reading() as db:
        with pytest.raises(Unavailable, match="took too long"), within(db, start + 0.05):
            db.execute(sa.text(endless))
        assert time.monotonic() - start < 2
        assert db.scalar(sa.text("SELECT 1")) == 1


def test_a_ledger_without_fts5_says_so(home):
    from overparam.ledger import Ledger

    ledger = Ledger()
    absorb(ledger, shelf())
    with sqlite3.connect(home / "ledger.sqlite3") as db:
        for name in ("insert", "update", "delete"):
            db.execute(f"DROP TRIGGER search_words_{name}")
        db.execute("DROP TABLE search_words")
    update(ledger)
    with pytest.raises(Unavailable, match="FTS5"):
        found(ledger, {}, "noisy")
    ledger.close()
