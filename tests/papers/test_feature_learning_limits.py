"""Word vectors and characters: the second half of the experiments of arXiv 2011.14522."""

import numpy as np
import pytest
import torch

from overparam import data
from overparam.lab import Trials
from overparam.lab.experiment import Progress
from overparam.papers.feature_learning import experiments
from overparam.papers.feature_learning.claims import CLAIMS
from overparam.papers.feature_learning.omniglot import KERNELS, MOST, RECIPES, characters, omniglot
from overparam.papers.feature_learning.planted import ITEMS, RELATIONS, planted, wikipedia
from overparam.papers.feature_learning.words import encyclopedia, words

CLAIM = {claim.id: claim for claim in CLAIMS}
WIGGLE = (0.1, -0.1, 0.05, 0.0, -0.05)
SMALL = {"data": "digits", "steps": 10, "rates": "short", "tasks": 50}


@pytest.fixture
def needs():
    def check(*names):
        for name in names:
            if not data.available(name):
                pytest.skip(f"data set {name} is not at hand: set OVERPARAM_DATA to a folder that has {name}/")

    return check


def states(claim, accuracies, metric="accuracy"):
    rows = [
        {"model": model, "seed": s, metric: value + (k % 3) * w}
        for k, (model, value) in enumerate(accuracies.items())
        for s, w in enumerate(WIGGLE)
    ]
    return [part.state for part in CLAIM[claim].rule.judge(Trials(rows))]


def test_the_order_of_widths_decides_and_the_limit_may_tie_with_the_widest():
    rising = {"width 2": 30.0, "width 8": 40.0, "width 32": 45.0, "width 128": 46.0, "limit": 45.5}
    assert states("C6", rising) == ["holds"] * 4
    assert states("C6", {**rising, "limit": 40.0}) == ["holds"] * 3 + ["fails"]
    assert states("C6", {**rising, "width 2": 50.0})[0] == "fails"
    words = {k: rising[k] for k in ("width 8", "width 32", "width 128", "limit")}
    assert states("C5", words) == ["holds"] * 4
    assert states("C5", {**words, "limit": 44.5})[2:] == ["fails", "fails"]
    assert states("C5r", {**words, "width 32": 47.0})[:2] == ["fails", "fails"]


def test_kernels_have_to_be_beaten_each():
    kernels = {"limit": 47.0, "linear kernel": 40.0, "ReLU GP": 41.0, "ReLU NTK": 48.0}
    assert states("C6k", kernels) == ["holds", "holds", "fails"]
    assert set(kernels) - {"limit"} == set(KERNELS)


def test_words_that_stay_have_to_answer_no_better_than_chance():
    start = dict.fromkeys(("width 8", "width 32", "width 128", "limit"), 1.0)
    assert states("C5k", start, "accuracy_start") == ["holds"] * 4
    assert states("C5k", {**start, "width 32": 9.0}, "accuracy_start") == ["holds", "fails", "holds", "holds"]


@pytest.mark.slow
def test_characters_to_test_on_are_never_trained_on(needs):
    train, test = characters("digits")
    assert (train.shape, test.shape) == ((20, 20, 64), (5, 20, 64))
    upright = train[:5].reshape(5, 20, 8, 8)
    torch.testing.assert_close(train[5:10].reshape(5, 20, 8, 8), torch.rot90(upright, 1, (2, 3)))
    needs("omniglot-small")
    train, test = characters("omniglot-small")
    assert (train.shape, test.shape) == ((544, 20, 784), (106, 20, 784))
    seen = {row.numpy().tobytes() for row in train[:136].flatten(0, 1)}
    assert not any(row.numpy().tobytes() in seen for row in test.flatten(0, 1))


@pytest.mark.slow
def test_every_model_learns_and_seeds_together_are_seeds_alone():
    for model in RECIPES:
        both = omniglot(**SMALL, model=model, seeds=[0, 1], progress=Progress())
        (alone,) = omniglot(**SMALL, model=model, seeds=[1], progress=Progress())
        assert both[1] == alone
        assert both[0]["accuracy"] > 40  # chance is 20
    broken = omniglot(**SMALL, model="limit", seeds=[0, 1], progress=Progress(), sabotage=True)
    assert all(row["accuracy"] < 30 for row in broken)


def test_laptop_leaves_out_one_width_only():
    assert set(RECIPES) - set(MOST) == {"width 512"}


def test_planted_analogies_can_only_be_answered_from_contexts():
    corpus, questions = planted(1500, 0)
    pairs = ITEMS * RELATIONS
    assert (len(corpus.words), len(questions)) == (240, 24 * 23 * 4 * 3)
    text = corpus.tokens.reshape(1500, 8)
    assert ((text < pairs).sum(1) == 1).all()  # words of pairs never meet
    words = text.copy()
    words.sort(axis=1)
    item, relation = words[:, 0] // RELATIONS, words[:, 0] % RELATIONS
    assert ((words[:, 1:3] - pairs) // 3 == item[:, None]).all()
    assert ((words[:, 3:5] - pairs - 72) // 6 == relation[:, None]).all()
    assert (words[:, 5:] >= 192).all()
    a, b, c, d = questions.T
    assert (a // 4 == b // 4).all()
    assert (c // 4 == d // 4).all()
    assert (a % 4 == c % 4).all()
    assert (b % 4 == d % 4).all()
    assert (a // 4 != c // 4).all()
    assert (a % 4 != b % 4).all()
    assert np.array_equal(corpus.counts, np.bincount(corpus.tokens, minlength=240))
    assert not np.array_equal(corpus.tokens, planted(1500, 1)[0].tokens)


@pytest.mark.slow
def test_learning_answers_analogies_and_still_vectors_do_not():
    row = words(sentences=1500, epochs=5, model="limit", seed=0)
    assert row["accuracy"] > 70
    assert row["accuracy_start"] == 0.0
    still = words(sentences=1500, epochs=5, model="width 32", seed=0, sabotage=True)
    assert still["accuracy"] == still["accuracy_start"] < 5


def test_a_little_of_wikipedia_covers_some_questions(needs):
    needs("wikitext2-small", "word-analogies")
    corpus, questions = wikipedia(1500)
    assert (len(corpus.words), corpus.words[0]) == (1500, "the")
    assert "<unk>" not in corpus.words
    assert len(questions) == 209
    shown = {tuple(corpus.words[i] for i in row) for row in questions}
    assert ("france", "french", "germany", "german") in shown


@pytest.mark.slow
def test_words_of_wikipedia_are_learned(needs):
    needs("wikitext2-small", "word-analogies")
    row = encyclopedia("wikitext2-small", vocabulary=1000, epochs=3, model="width 128", seed=0)
    assert row["questions"] == 53
    assert row["accuracy"] >= 100 / 53 > row["accuracy_start"] == 0.0


def test_figures_draw_with_what_a_small_run_has():
    from overparam.lab.plots import style, to_svg

    few = [
        {
            "model": m,
            "seed": s,
            "accuracy": 40.0 + k + s,
            "accuracy_one_step": 30.0 + s,
            "accuracy_start": 1.0,
            "questions": 10.0,
        }
        for k, m in enumerate(("width 8", "width 32", "limit", "ReLU GP"))
        for s in range(2)
    ]
    with style():
        drawn = {f: f(Trials([r for r in few if "GP" not in r["model"] or f is experiments.few_shot_accuracy]))
                 for f in (experiments.few_shot_accuracy, experiments.planted_analogies, experiments.covered_analogies)}  # fmt: skip
        for drawing in drawn.values():
            assert to_svg(drawing, prefix="f").startswith("<svg")
            assert drawing.caption.endswith(".")
    assert (
        "The limit reaches 42.5 %, a network of width 32 41.5 % and the best kernel, ReLU GP, 43.5 %"
        in drawn[experiments.few_shot_accuracy].caption
    )
    assert "40.5 % at width 8, 41.5 % at width 32. Vectors that stay" in drawn[experiments.planted_analogies].caption
