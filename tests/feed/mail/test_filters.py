import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overparam.errors import BadInput
from overparam.feed.mail.filters import KINDS, Filter


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "new papers and verdicts"),
        ({"topics": ["theory"]}, "new papers and verdicts on theory"),
        ({"topics": ["scaling", "theory"], "kinds": ["verdicts"]}, "new verdicts on scaling and theory"),
        ({"kinds": ["papers", "verdicts", "changes"]}, "new papers and verdicts that changed"),
        ({"kinds": ["changes"], "papers": ["data-diet"]}, "verdicts that changed about data-diet"),
        ({"kinds": "papers", "words": " noisy   labels "}, "new papers with “noisy labels”"),
    ],
)
def test_words_for_people(given, words):
    assert Filter.parse(given).words_for_people == words


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"colour": "red"}, "colour"),
        ({"kinds": ["rumours"]}, "kinds"),
        ({"kinds": []}, "kinds"),
        ({"kinds": 3}, "kinds"),
        ({"topics": [1]}, "topics"),
        ({"topics": ["a\r\nb"]}, "topics"),
        ({"topics": [f"x{i}" for i in range(41)]}, "topics"),
        ({"papers": ["../etc"]}, "papers"),
        ({"words": ["a"]}, "words"),
        ({"words": "a\x00b"}, "words"),
        ({"words": "a" * 201}, "words"),
    ],
)
def test_what_is_wrong_is_named(given, field):
    with pytest.raises(BadInput, match=f"^{field}:"):
        Filter.parse(given)


texts = st.lists(st.from_regex(r"[a-z]{1,8}(-[a-z]{1,8})?", fullmatch=True), max_size=4)


@given(st.lists(st.sampled_from(KINDS), min_size=1), texts, st.text(st.characters(categories=["L", "N"])), texts)
def test_one_normal_form(kinds, topics, words, papers):
    wanted = {"kinds": kinds, "topics": topics, "words": words[:200], "papers": papers}
    once = Filter.parse(wanted)
    assert Filter.parse(json.loads(once.text)) == once
    shuffled = {name: value[::-1] if isinstance(value, list) else value for name, value in wanted.items()}
    assert Filter.parse(shuffled).key == once.key
