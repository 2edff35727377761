import pytest
from hypothesis import given
from hypothesis import strategies as st

from overparam.feed.search.grammar import LONGEST_TERM, MOST_TERMS, Query, parse

PIECES = st.sampled_from([
    *('"', "-", ":", " ", "\x00", "\ud800", "\u00a0", "a", "word", "C++", "author:", "tag:", "after:", "verdict:"),
    *("proxy:", "2023", "2023-13", "-02-31", "partly", "not-reproduced", "not reproduced", "yes", "no", "(", ")", "*"),
    "x" * 150,
])
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=60).map("".join))


@given(TEXTS)
def test_any_text_is_read_and_its_canonical_form_reads_back_the_same(text):
    query = parse(text)
    assert parse(query.text) == query
    assert parse(query.text).text == query.text


@given(TEXTS)
def test_terms_are_bounded_and_fit_for_databases(text):
    query = parse(text)
    terms = [*query.words, *query.phrases, *query.excluded, *query.authors, *query.topics]
    assert len(terms) <= MOST_TERMS
    assert all(0 < len(term) <= LONGEST_TERM and '"' not in term and "\x00" not in term for term in terms)
    "".join(terms).encode()


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("noisy labels", Query(words=("noisy", "labels"))),
        ('"early stopping" works', Query(words=("works",), phrases=("early stopping",))),
        ('-vision -"image models"', Query(excluded=("vision", "image models"))),
        ('author:feldman AUTHOR:"Mansheej Paul"', Query(authors=("feldman", "Mansheej Paul"))),
        ('tag:cs.LG tag:"language models"', Query(topics=("cs.LG", "language models"))),
        ("after:2023 after:2021-05", Query(after="2023-01-01")),
        ("after:2024-02-29", Query(after="2024-02-29")),
        ("verdict:partly verdict:not-reproduced", Query(verdicts=("partly", "not reproduced"))),
        ('verdict:"Not reproduced" proxy:no', Query(verdicts=("not reproduced",), proxy=False)),
        ("proxy:yes proxy:no", Query()),
        ("verdict:great after:2023-02-29 title:x", Query(words=("verdict:great", "after:2023-02-29", "title:x"))),
        ('author: "x', Query(words=("author:", "x"))),
        ("a a -a -a", Query(words=("a",), excluded=("a",))),
        ("- -- \"\" ''", Query(words=("''",))),
        ('ver"dict:partly', Query(words=("ver", "dict:partly"))),
        ('note:"two words"', Query(words=("note:",), phrases=("two words",))),
        ("NEAR(a b) AND* OR", Query(words=("NEAR(a", "b)", "AND*", "OR"))),
    ],
)
def test_what_is_understood_and_what_is_literal(text, query):
    assert parse(text) == query


def test_filters_say_whether_verdicts_decide():
    assert not parse("a author:b").by_claim
    assert parse("verdict:partly").by_claim
    assert parse("proxy:no").by_claim
