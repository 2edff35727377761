import json
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overparam.errors import BadInput, Unavailable
from overparam.feed.record import tidied
from overparam.feed.sources.huggingface import HuggingFace, record_of

ITEMS = json.loads((Path(__file__).parents[1] / "fixtures" / "daily_papers.json").read_text())
TODAY = date(2026, 11, 23)


class Pages:
    """Stands for the transport: answers by day and page, and notes what was asked."""

    def __init__(self, days):
        self.days, self.asked = days, []

    def __call__(self, url, params, *, empty=()):
        assert url == "https://huggingface.co/api/daily_papers"
        self.asked.append((params["date"], int(params["p"])))
        items = self.days.get(params["date"], [])
        page = items[int(params["p"]) * 50 :][:50] if isinstance(items, list) else items
        return page if isinstance(page, bytes) else json.dumps(page).encode()


def items(n):
    return [{"paper": {"id": f"2611.{i:05d}", "title": f"T{i}", "upvotes": i}, "numComments": 0} for i in range(n)]


def steps(pages, cursor=None, *, days=7, today=TODAY):
    return list(HuggingFace().steps(pages, cursor or {}, today, days))


def test_facts_at_both_levels():
    first, second, third = (record_of(item, "2026-11-21", n) for n, item in enumerate(ITEMS, 1))
    assert tidied(first).title == "Wide networks memorise"
    assert (first.arxiv, first.votes, first.comments) == ("2611.00001", 86, 3)
    assert first.authors == ("Ada Lovelace", "Max Noether")
    assert first.published_on == "2026-11-19"  # not the outer time
    assert (first.listed_on, first.rank, first.submitted_by) == ("2026-11-21", 1, "Grace Hopper")
    assert first.code_url == "https://github.com/ada/wide"
    assert first.abstract == "They do."  # not the machine's summary
    assert first.discussion_url == "https://huggingface.co/papers/2611.00001"
    assert first.raw["paper"]["ai_summary"] == "A machine wrote this."
    assert (second.title, second.votes, second.comments, second.abstract) == ("Only inside", 0, 0, "")
    assert (second.submitted_by, second.code_url) == ("nn", None)
    assert (third.title, third.abstract, third.arxiv) == ("Only outside", "An abstract outside.", "2611.00003")
    assert (third.votes, third.comments, third.published_on) == (None, None, "2026-11-18")


@pytest.mark.parametrize(
    "item",
    [
        None,
        [],
        {},
        {"paper": 3},
        {"paper": {"id": "x"}},
        {"title": "T"},
        {"paper": {"id": "x", "title": "\x00 \u202e"}},
    ],
)
def test_entries_without_id_or_title_are_named(item):
    with pytest.raises(BadInput, match="an entry without"):
        record_of(item, "2026-11-21", 1)


def test_a_day_of_several_pages_is_one_step():
    pages = Pages({"2026-11-23": items(120)})
    [step] = steps(pages, days=1)
    assert [r.rank for r in step.records] == list(range(1, 121))
    assert pages.asked == [("2026-11-23", 0), ("2026-11-23", 1), ("2026-11-23", 2)]


def test_a_source_that_does_not_turn_pages_is_noticed():
    stuck = json.dumps(items(50)).encode()
    pages = Pages({"2026-11-23": stuck})
    [step] = steps(pages, days=1)
    assert len(step.records) == 50
    assert len(pages.asked) == 2


def test_seven_days_are_read_again_and_missed_days_too():
    assert [s.label for s in steps(Pages({}))] == [f"2026-11-{d}" for d in range(17, 24)]
    done = steps(Pages({}))[-1].cursor
    assert [s.label for s in steps(Pages({}), done)] == [f"2026-11-{d}" for d in range(17, 24)]
    later = steps(Pages({}), done, today=date(2026, 12, 5))
    assert later[0].label == "2026-11-24"
    much_later = steps(Pages({}), done, today=date(2027, 11, 23))
    assert len(much_later) == 60


def test_a_stopped_sweep_goes_on():
    every = steps(Pages({}))
    assert [s.label for s in steps(Pages({}), every[2].cursor)] == [s.label for s in every[3:]]


def test_bad_entries_lose_nothing_else():
    [step] = steps(Pages({"2026-11-23": [{"paper": {}}, *ITEMS, "x"]}), days=1)
    assert len(step.records) == 3
    assert len(step.problems) == 2
    assert all(p.startswith("2026-11-23: an entry without") for p in step.problems)


@pytest.mark.parametrize("body", [b"<html>", b'[{"a": ', b'{"error": "no"}', b"\xff\xfe", b"[" * 100_000, b"3"])
def test_malformed_answers(body):
    with pytest.raises(Unavailable, match="huggingface: the listing of 2026-11-23 is no"):
        steps(Pages({"2026-11-23": body}), days=1)


def test_a_day_that_has_not_begun_is_empty():
    seen = []

    def get(url, params, *, empty=()):
        seen.append((params["date"], set(empty)))
        return b"" if empty else b"[]"

    assert [s.records for s in steps(get, days=2)] == [[], []]
    assert seen == [("2026-11-22", set()), ("2026-11-23", {400})]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "title", "paper", "authors", "name", "upvotes", "submittedBy"]), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=60)
@given(anything)
def test_any_json_is_a_record_or_a_named_problem(item):
    try:
        record = tidied(record_of(item, "2026-11-21", 1))
    except BadInput:
        return
    assert record.title
    assert record.external_id
