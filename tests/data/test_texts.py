import pytest

from overparam import data
from overparam.errors import BadInput


def test_analogies_have_their_published_sections(needs):
    needs("word-analogies")
    words, phrases = data.load("word-analogies"), data.load("word-analogies", kind="phrases")
    assert (len(words), sum(map(len, words.values()))) == (14, 19_544)
    assert (len(phrases), sum(map(len, phrases.values()))) == (5, 3218)
    assert words["capital-common-countries"][0] == ("Athens", "Greece", "Baghdad", "Iraq")
    assert len(words["family"]) == 506
    with pytest.raises(BadInput, match="kind='letters' is unknown"):
        data.load("word-analogies", kind="letters")


def test_wikitext_has_its_published_length(needs):
    needs("wikitext2-small")
    valid, test = data.load("wikitext2-small"), data.load("wikitext2-small", part="test")
    assert (sum(map(len, valid)), sum(map(len, test))) == (213_886, 241_211)
    assert valid[0] == ["=", "Homarus", "gammarus", "="]
    with pytest.raises(BadInput, match="part='train' is unknown"):
        data.load("wikitext2-small", part="train")


def test_shakespeare_has_its_published_length(needs):
    needs("tinyshakespeare")
    text = data.load("tinyshakespeare")
    assert (len(text), len(set(text)), text.count("\n")) == (1_115_394, 65, 40_000)
    assert text.startswith("First Citizen:\n")
