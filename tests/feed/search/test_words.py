import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overparam.feed.search.words import LONGEST_WORD, STOP, excerpt, fold, places, stem, stems, telling


@given(st.text())
def test_folded_text_holds_nothing_but_words(text):
    folded = fold(text)
    assert all(word.isalnum() and len(word) <= LONGEST_WORD for word in folded.split())
    assert folded == " ".join(folded.split())


@given(st.text(alphabet=st.characters(categories=["Lu", "Ll", "Nd", "Zs", "Po"])))
def test_folding_does_not_see_how_letters_are_composed(text):
    assert fold(unicodedata.normalize("NFD", text)) == fold(unicodedata.normalize("NFC", text))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Généralisation", "generalization"),
        ("memorises", "MEMORIZES"),
        ("behaviour of neighbours", "behavior of neighbors"),
        ("state-of-the-art", "state of the art"),
        ("ﬁne–tuning", "fine tuning"),
    ],
)
def test_spellings_that_are_one(one, other):
    assert fold(one) == fold(other)


def test_forms_of_a_word_have_one_stem_and_other_words_do_not():
    for forms in (
        "noise noisy noises",
        "label labels labelled labelling",
        "memorize memorized memorization",
        "prune pruning",
    ):
        assert len({stem(word) for word in forms.split()}) == 1
    assert len({stem(word) for word in ("label", "gradient", "kernel", "attention", "curvature", "hessian")}) == 6
    assert stem("cifar10") == "cifar10"
    assert stems("the gradients of a network") == ["gradient", "network"]


def test_common_words_count_only_where_there_are_no_others():
    assert telling(["the", "long", "", "tail", "long"]) == ["long", "tail"]
    assert telling(["to", "be"]) == ["to", "be"]
    assert {"to", "be"} <= STOP


SENTENCES = st.lists(
    st.lists(
        st.one_of(st.text(max_size=12), st.sampled_from(["noise", "Noisy", "labels.", "x" * 90])), max_size=60
    ).map(" ".join),
    max_size=5,
)


@given(SENTENCES, st.integers(20, 200))
def test_marks_of_an_excerpt_lie_inside_it_and_hold_the_words(sentences, longest):
    wanted = frozenset({"nois", "label"})
    text, marks = excerpt(sentences, wanted, longest)
    assert len(text) <= longest + 2
    assert text.strip("…") in "\n".join(sentences)
    assert bool(marks) == any(places(sentence, wanted) for sentence in sentences) or len(text) >= longest // 4
    end = 0
    for start, stop in marks:
        assert end <= start < stop <= len(text)
        assert wanted & {stem(word) for word in fold(text[start:stop]).split()}
        end = stop


def test_the_sentence_with_most_of_the_words_is_shown():
    sentences = ["Nothing here.", "Labels are clean.", "Noisy labels are fitted too.", "Labels, labels, labels."]
    text, marks = excerpt(sentences, frozenset({"nois", "label"}), 200)
    assert text == sentences[2]
    assert [text[a:b] for a, b in marks] == ["Noisy", "labels"]
    assert excerpt(sentences, frozenset(), 200) == (sentences[0], ())
    long = "word " * 100 + "noise at the end"
    text, marks = excerpt([long], frozenset({"nois"}), 80)
    assert len(text) <= 82
    assert [text[a:b] for a, b in marks] == ["noise"]


def test_places_are_whole_words():
    text = "Noise, un-noised noisome NOISY"
    assert [text[a:b] for a, b in places(text, frozenset({"nois"}))] == re.findall(r"\bNoise|noised|NOISY", text)
