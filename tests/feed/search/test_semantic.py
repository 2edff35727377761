import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overparam.errors import MissingExtra, Unavailable
from overparam.feed.search import semantic
from overparam.feed.search.index import claim_text
from overparam.feed.search.words import fold, stems
from overparam.lab.registry import papers


@pytest.fixture(scope="module")
def texts():
    return [claim_text(claim) for entry in papers().values() for claim in entry.claims]


@pytest.fixture(scope="module")
def model(texts):
    return semantic.Latent.read(semantic.fit(texts), "latent-test")


def test_a_query_is_embedded_as_scikit_learn_would(texts, model):
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(analyzer=stems, min_df=2 if len(texts) > 100 else 1, sublinear_tf=True).fit(texts)
    some = [*texts[:20], "noisy labels labels labels of rare examples", "unheard of"]
    expected = words.transform(some) @ model.components
    length = np.linalg.norm(expected, axis=1, keepdims=True)
    expected = np.divide(expected, length, out=np.zeros_like(expected), where=length > 0)
    assert list(model.vocabulary) == words.get_feature_names_out().tolist()
    np.testing.assert_allclose(model.embed(some), expected, atol=1e-5)


def test_the_same_texts_give_the_same_bytes(texts):
    assert semantic.fit(texts[:40]) == semantic.fit(texts[:40])
    assert semantic.fingerprint(semantic.fit(texts[:40])) != semantic.fingerprint(semantic.fit(texts[:41]))


@given(st.text())
@settings(max_examples=50)
def test_vectors_have_length_one_or_zero(model, text):
    vector = model.embed([fold(text)])[0]
    assert vector.dtype == np.float32
    known = any(word in model.vocabulary for word in stems(fold(text)))
    assert np.linalg.norm(vector) == pytest.approx(1.0 if known else 0.0, abs=1e-5)


def test_words_that_go_together_are_near(model):
    one, near, far = model.embed([fold(t) for t in ("mislabelled examples", "wrong labels", "batch size power law")])
    assert one @ near > one @ far


@pytest.mark.parametrize("few", [[], [""], ["one"], ["same words", "same words"]])
def test_too_little_to_fit_gives_no_model_or_a_small_one(few):
    body = semantic.fit(few)
    assert not body or semantic.Latent.read(body, "x").embed(["same"]).shape[0] == 1


def test_a_paper_scores_by_its_best_part_and_ties_go_by_id():
    class Fixed:
        id = "fixed"

        def embed(self, texts):
            return np.array([[1.0, 0.0]] * len(texts), dtype=np.float32)

    vectors = np.array([[0.6, 0.8], [0.9, 0.1], [0.9, 0.4], [0.9, 0.4], [0.1, 0.9]], dtype=np.float32)
    owners = [("a", ""), ("a", "C1"), ("b", ""), ("c", ""), ("d", "")]
    every = semantic.Meanings(
        Fixed(), semantic.State("fixed", "", 0), vectors, owners, list("abcd"), np.array([0, 0, 1, 2, 3])
    )
    order, claims = every.near("x")
    assert [name for name, _ in order] == ["a", "b", "c"]
    assert claims == {("a", "C1"): pytest.approx(0.9)}


def test_searching_loads_no_scikit_learn_and_the_package_no_numpy(home, stocked):
    url = stocked.engine.url.render_as_string(hide_password=False)
    code = f"""
import sys
import overparam.feed.search as s
heavy = {{"numpy", "sklearn", "scipy", "torch", "pandas", "matplotlib"}} & set(sys.modules)
assert not heavy, heavy
from overparam.ledger import Ledger
found = s.search(Ledger({url!r}), "noisy labels")
assert found.hits and not found.degraded, found
assert not {{"sklearn", "scipy", "torch"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_folder_without_a_model_is_named(tmp_path, monkeypatch):
    with pytest.raises(Unavailable, match="no folder with a model"):
        semantic.folder_id(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    name = semantic.folder_id(tmp_path)
    (tmp_path / "weights").write_bytes(b"1234")
    assert semantic.folder_id(tmp_path) != name
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtra, match="needs sentence-transformers"):
        semantic.Folder(tmp_path)
