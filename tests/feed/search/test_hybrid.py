import base64
import functools
import json

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from overparam.errors import BadInput, Unavailable
from overparam.feed.merge import absorb
from overparam.feed.search import hybrid, matches, parse, update
from overparam.feed.seed import seed
from overparam.ledger.schema import article, search_model

from .conftest import shelf

search = functools.partial(hybrid.search, budget_seconds=5)  # machines under load are slow
HOSTILE = (
    *('"', "NEAR(", "*", "C++", "title:", "-", "noisy AND", "a OR OR b", "'; DROP TABLE article; --", "^x {y}"),
    *("100%_\\", "(((", "\x00noisy\x00", "\ud800", "% _ %", "a:b:c", "NOT", "𝔑𝔬𝔦𝔰𝔶", "x" * 10_000, "word " * 2_000),
    *('"unbalanced', '-"a', "author:%", "author:' tag:%", "after:0000", "verdict:%", '" "', "ﷺ" * 100, "&|!<->", ":*"),
)


@pytest.fixture
def seeded(ledger):
    seed(ledger)
    update(ledger)
    return ledger


def slugs(ledger, found):
    with ledger.reading() as db:
        known = dict(db.execute(sa.select(article.c.id, article.c.slug)).all())
    return [known[hit.article_id] for hit in found.hits]


def test_hostile_texts_are_answered(stocked, titles):
    for text in HOSTILE:
        found = search(stocked, text)
        assert not found.degraded, text
        assert matches(stocked, text, titles) <= {hit.article_id for hit in found.hits}, text


@given(text=st.text(max_size=60))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_text_is_answered(stocked, text):
    found = search(stocked, text)
    assert not found.degraded
    matches(stocked, text, [hit.article_id for hit in found.hits])


def test_a_paper_found_both_ways_says_so_and_comes_first(stocked, titles):
    found = search(stocked, "noisy labels")
    assert titles[found.hits[0].article_id] == "Long tails and memorisation"
    assert found.hits[0].ways == ("words", "meaning")
    assert found.total == len(found.hits)
    assert [hit.score for hit in found.hits] == sorted((hit.score for hit in found.hits), reverse=True)
    hit = found.hits[0]
    assert [hit.snippet[a:b] for a, b in hit.marks] == ["Noisy", "labels"]
    assert found.topics == {"stat.ML": 2, "cs.LG": 1, "language models": 1}
    assert found.query == parse("noisy labels")
    assert found.milliseconds > 0


def test_ranks_are_fused_and_ties_go_by_id():
    entries, ways = hybrid._fused({"words": ["b", "a"], "meaning": ["a", "b", "c"]})
    assert [name for _, name in entries] == ["a", "b", "c"]
    assert entries[0][0] == entries[1][0] == -(1 / 61 + 1 / 62)
    assert ways == {"a": ("words", "meaning"), "b": ("words", "meaning"), "c": ("meaning",)}


def test_filters_hold_for_both_ways(stocked, titles):
    def of(text):
        return {titles[hit.article_id] for hit in search(stocked, text).hits}

    assert of("noisy labels author:feldman") == {"Long tails and memorisation"}
    assert of("noisy labels author:feldma") == set()
    assert of('networks author:"jose nunez"') == {"Generalization of wide networks"}
    assert of("noisy labels after:2021") <= {"A diet for data", "Coherent gradients", "Sharpness for free"}
    assert "A diet for data" in of("noisy labels after:2021-03-01")
    assert of("noisy labels tag:Language-Models") == {"A diet for data"}
    assert "Coherent gradients" not in of("noisy labels -gradients")
    assert of('"noisy labels"') == {"Long tails and memorisation"}
    assert of("!!!") == set()


def test_filters_alone_are_ordered_newest_first_and_paged(stocked, titles):
    newest = [titles[hit.article_id] for hit in search(stocked, "").hits]
    assert newest[0] == "Adapters and prefixes"
    assert len(newest) == 6
    seen, cursor = [], None
    while True:
        found = search(stocked, "after:2021", limit=2, after=cursor)
        seen += [titles[hit.article_id] for hit in found.hits]
        assert all(hit.ways == () and hit.score == 0 for hit in found.hits)
        cursor = found.next
        if cursor is None:
            break
    assert seen == newest[:5]
    assert search(stocked, "author:feldman").total == 1


def test_pages_of_a_ranking_join_without_gap_or_repeat(seeded):
    whole = [hit.article_id for hit in search(seeded, "neural network training", limit=100).hits]
    assert len(whole) > 10
    joined, cursor = [], None
    while len(joined) < len(whole):
        found = search(seeded, "neural network training", limit=4, after=cursor)
        joined += [hit.article_id for hit in found.hits]
        cursor = found.next
    assert joined == whole
    assert cursor is None


def test_cursors_that_a_database_would_choke_on_are_refused(stocked):
    for entry in (["2020-01-01", "\x00"], ["\ud800", "a"], ["[" * 90, {}]):
        with pytest.raises(BadInput, match="is no place"):
            search(stocked, "", after=base64.urlsafe_b64encode(json.dumps(entry).encode()).decode())
    with pytest.raises(BadInput, match="is no place"):
        search(stocked, "", after=base64.urlsafe_b64encode(b"[" * 30_000).decode())


@pytest.mark.parametrize(
    "cursor", ["", "x", "!!", "bnVsbA", "WzEsMl0", "WyJhIiwgImIiXQ", "é" * 9, "W" * 5000, "W251bGwsICJhIl0"]
)
def test_a_cursor_of_something_else_is_refused(stocked, cursor):
    with pytest.raises(BadInput, match="is no place in this search"):
        search(stocked, "noisy", after=cursor)


def test_verdicts_narrow_papers_and_claims_and_the_others_are_counted(seeded):
    every = search(seeded, "noisy labels")
    assert every.claim_total == sum(len(hit.claims) for hit in every.hits) == sum(every.verdicts.values())
    assert len(every.verdicts) > 1
    for verdict, n in every.verdicts.items():
        found = search(seeded, f"noisy labels verdict:{verdict.replace(' ', '-')}")
        assert found.hits
        assert all(hit.claims for hit in found.hits)
        assert found.verdicts[verdict] >= n
        assert set(slugs(seeded, found)) <= set(
            slugs(seeded, search(seeded, f"verdict:{verdict.replace(' ', '-')}", limit=99))
        )
    both = search(seeded, "noisy labels proxy:yes")
    assert both.settings == search(seeded, "noisy labels proxy:no").settings
    assert search(seeded, "verdict:unjudged").hits


def test_a_new_verdict_is_seen_at_once(seeded):
    from overparam.ledger.schema import verdict

    before = search(seeded, "verdict:inconclusive", limit=99)
    with seeded.writing() as db:
        db.execute(sa.update(verdict).values(status="inconclusive", at="2099-01-01T00:00:00.000000Z"))
    after = search(seeded, "verdict:inconclusive", limit=99)
    assert set(slugs(seeded, before)) < set(slugs(seeded, after))
    assert search(seeded, "verdict:reproduced").hits == []


def test_one_way_answers_when_the_other_fails(stocked):
    found = search(stocked, "noisy labels", budget_seconds=1e-9)
    assert found.degraded == "Ordered by meaning alone. The search took too long; ask for fewer words."
    assert {hit.ways for hit in found.hits} == {("meaning",)}
    with stocked.writing() as db:
        db.execute(sa.delete(search_model))
    found = search(stocked, "noisy labels")
    assert found.degraded == "Ordered by words alone. No paper has been embedded yet; the next fetch does it."
    assert {hit.ways for hit in found.hits} == {("words",)}
    with pytest.raises(Unavailable, match="cannot be answered"):
        search(stocked, "noisy labels", budget_seconds=1e-9)


def test_a_model_in_a_folder_that_is_not_set_here_degrades(stocked, monkeypatch, tmp_path):
    with stocked.writing() as db:
        row = {"id": "folder-x", "made_at": "2099", "ready_at": "2099", "documents": 6, "revision": 1, "body": b""}
        db.execute(sa.insert(search_model).values(**row))
    assert "set OVERPARAM_EMBEDDER" in search(stocked, "noisy labels").degraded
    monkeypatch.setenv("OVERPARAM_EMBEDDER", str(tmp_path))
    assert "no folder with a model" in search(stocked, "noisy labels").degraded


def test_saved_searches_match_all_words_and_filters(stocked, titles):
    by_title = {title: name for name, title in titles.items()}
    every = list(titles)

    def of(text, ids=every):
        return {titles[name] for name in matches(stocked, text, ids)}

    assert of("noisy labels") == {"Long tails and memorisation"}
    assert of("noisy") == {"Long tails and memorisation", "Coherent gradients"}
    assert of("noisy", [by_title["Coherent gradients"], "unknown"]) == {"Coherent gradients"}
    assert of("noisy -labels author:satrajit") == {"Coherent gradients"}
    assert of("tag:stat.ml after:2022") == {"Coherent gradients", "Sharpness for free"}
    assert of("") == set(titles.values())
    assert of("!!!") == set()
    assert of("verdict:reproduced") == set()
    assert matches(stocked, "noisy", []) == set()


def test_papers_that_are_not_indexed_yet_do_not_match(ledger):
    ids = absorb(ledger, shelf()).ids
    assert matches(ledger, "noisy", ids) == set()
    update(ledger)
    assert len(matches(ledger, parse("noisy"), ids)) == 2
