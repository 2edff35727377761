import dataclasses

import pytest
import sqlalchemy as sa

from overparam.feed.merge import absorb
from overparam.feed.search import index, search, semantic, update
from overparam.feed.seed import seed
from overparam.ledger.schema import article, embedding, search_document, search_model

from .conftest import shelf

LATER = "2026-11-24T10:00:00.000000Z"


def models(ledger):
    with ledger.reading() as db:
        return {row.id: row for row in db.execute(sa.select(search_model))}


def count(ledger, table):
    with ledger.reading() as db:
        return db.scalar(sa.select(sa.func.count()).select_from(table))


def more(n, start=100):
    for number in range(start, start + n):
        record = next(shelf())
        yield dataclasses.replace(
            record,
            external_id=f"2612.{number}",
            arxiv=f"2612.{number}",
            title=f"Title {number}",
            authors=(f"A {number}",),
        )


def test_an_empty_ledger_is_indexed_without_ado(ledger):
    assert update(ledger) == 0
    assert models(ledger) == {}
    assert search(ledger, "anything").total == 0


def test_only_what_changed_is_done_again(stocked):
    before = models(stocked)
    assert update(stocked) == 0
    assert models(stocked) == before
    absorb(stocked, [dataclasses.replace(next(shelf()), abstract="Rewritten entirely.", version=2)], now=LATER)
    assert update(stocked) == 1
    assert [(row.documents, row.revision) for row in models(stocked).values()] == [(6, 2)]
    assert count(stocked, embedding) == 6


def test_a_change_that_leaves_the_words_alone_writes_no_document(stocked):
    with stocked.writing() as db:
        db.execute(sa.update(article).values(updated_at=LATER, votes=3))
    before = models(stocked)
    assert update(stocked) == 0
    assert models(stocked) == before
    with stocked.reading() as db:
        assert set(db.scalars(sa.select(search_document.c.seen))) == {LATER}


def test_a_new_model_is_fitted_when_the_papers_grow_by_a_fifth(stocked):
    (first,) = models(stocked)
    absorb(stocked, more(1))
    assert update(stocked) == 1
    assert set(models(stocked)) == {first}
    absorb(stocked, more(3, start=200))
    assert update(stocked) == 3
    (second,) = models(stocked)
    assert second != first
    assert models(stocked)[second].documents == 10
    with stocked.reading() as db:
        assert set(db.scalars(sa.select(embedding.c.model))) == {second}
    assert count(stocked, embedding) == 10


def test_the_old_model_serves_until_the_new_one_is_complete(stocked, monkeypatch):
    absorb(stocked, more(5))
    with monkeypatch.context() as patch:
        patch.setattr(index, "CHUNK", 4)
        write, calls = index._write_vectors, []

        def killed(*arguments):
            calls.append(arguments)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return write(*arguments)

        patch.setattr(index, "_write_vectors", killed)
        with pytest.raises(KeyboardInterrupt):
            update(stocked)
    assert len(models(stocked)) == 2
    found = search(stocked, "noisy labels")
    assert not found.degraded
    assert "meaning" in found.hits[0].ways
    update(stocked)
    assert [row.documents for row in models(stocked).values()] == [11]
    assert count(stocked, embedding) == 11
    assert not search(stocked, "noisy labels").degraded


def test_a_model_replaced_meanwhile_is_given_up(stocked):
    with stocked.reading() as db:
        (name,) = models(stocked)
        model, rows = semantic.open_model(db, name), db.execute(index._documents()).all()
        model = dataclasses.replace(model, id="latent-gone")
    assert not index._write_vectors(stocked, model, rows)
    assert count(stocked, embedding) == 6


def test_claims_are_found_with_their_paper(ledger):
    seed(ledger)  # which indexes the words
    assert update(ledger) == 0
    hit = search(ledger, "winsorised gradients").hits[0]
    assert hit.claims[0] == "C7"
    assert [hit.snippet[a:b] for a, b in hit.marks] == ["winsorised", "gradients"]
    with ledger.reading() as db:
        slug = db.scalar(sa.select(article.c.slug).where(article.c.id == hit.article_id))
        parts = set(db.scalars(sa.select(embedding.c.part).where(embedding.c.article_id == hit.article_id)))
    assert slug == "gradient-coherence"
    assert {"", "C7", "C8"} <= parts
    assert update(ledger) == 0


def test_papers_of_a_pack_that_is_not_here_are_still_articles(stocked):
    assert index.claims_of("no-such-paper") == ()
    assert index.claims_of(None) == ()
