import math

import numpy as np
import pytest
import torch

from overparam.errors import BadInput, Diverged
from overparam.methods.scaling.word2vec import CBOW, Corpus, InfiniteCBOW, _positions, analogy_accuracy

TEXT = [[f"w{k}" for k in np.random.default_rng(i).integers(0, 12, 7)] for i in range(60)]
CORPUS = Corpus.of(TEXT, min_count=1)


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def in_turn(model, steps):
    """Updates of word2vec as a double loop: one position, its context, its target and the negatives."""
    e, o = model.input.double().numpy().copy(), model.output.double().numpy().copy()
    for centre, others, context, lr, decay in steps:
        hidden = e[context].mean(0)
        error, change, times = np.zeros_like(hidden), np.zeros_like(o), np.zeros(len(o))
        for k, target in enumerate([centre, *others]):
            if k and target == centre:
                continue
            g = (1.0 if k == 0 else 0.0) - 1 / (1 + math.exp(-float(hidden @ o[target])))
            error += g * o[target]
            change[target] += lr * g * hidden
            times[target] += 1
        o = o * decay ** times[:, None] + change
        times = np.bincount(context, minlength=len(e))
        e *= decay ** times[:, None]
        for word in context:
            e[word] += lr * error / len(context)
    return e, o


@pytest.mark.parametrize(
    "make", [lambda: CBOW(12, 5, generator=draw()), lambda: InfiniteCBOW(12)], ids=["width 5", "limit"]
)
def test_one_position_at_a_time_is_word2vec(make, monkeypatch):
    seen, plain = [], CBOW._step

    def spy(self, centres, others, bags, lr, decay):
        seen.append((int(centres[0]), others[0].tolist(), bags[0].tolist(), lr, decay))
        assert len(centres) == 1
        plain(self, centres, others, bags, lr, decay)

    model = make()
    monkeypatch.setattr(CBOW, "_step", spy)
    start = make()
    model.fit(
        CORPUS, epochs=1, lr=0.5, window=3, negatives=4, subsample=0.1, weight_decay=0.1, batch=1, generator=draw(1)
    )
    inputs, outputs = in_turn(start, seen)
    np.testing.assert_allclose(model.input, inputs, atol=1e-5)
    np.testing.assert_allclose(model.output, outputs, atol=1e-5)
    assert float((model.input - start.input).abs().max()) > 0.05
    assert seen[0][3] == 0.5
    assert seen[-1][3] < 0.02  # the rate falls to nothing


def test_networks_approach_the_limit_as_one_over_the_root_of_the_width():
    """The same draws for all; the products of input and output vectors are what predicts words."""
    given = {"epochs": 2, "lr": 0.3, "window": 3, "negatives": 4, "subsample": 1.0}
    limit = InfiniteCBOW(12).fit(CORPUS, **given, generator=draw(1))
    gaps = []
    for width in (100, 6400):
        found = [CBOW(12, width, generator=draw(s)).fit(CORPUS, **given, generator=draw(1)) for s in range(3)]
        scores = torch.stack([m.input @ m.output.T for m in found])
        gaps.append(float((scores - limit.input @ limit.output.T).pow(2).mean().sqrt()))
    assert 5 < gaps[0] / gaps[1] < 13
    assert gaps[1] < 0.1 * float((limit.input @ limit.output.T).std())


def test_a_narrow_start_has_the_scale_of_the_limit():
    wide = CBOW(50, 4000, generator=draw())
    assert wide.input.var() * 4000 == pytest.approx(1, rel=0.02)
    torch.testing.assert_close(wide.input @ wide.input.T, InfiniteCBOW(50).input, atol=0.1, rtol=0)
    assert not wide.output.any()


def test_contexts_stay_in_the_sentence_and_in_reach():
    sizes = []
    for _ in range(20):
        for share, centres, (context, owner) in _positions(CORPUS, 3, 1.0, 50, draw(len(sizes))):
            assert 0 <= share < 1
            assert sorted(set(owner.tolist())) == list(range(len(centres)))  # a position without context is left out
            sizes += torch.bincount(owner).tolist()
            assert len(context) == len(owner)
    assert set(sizes) <= set(range(1, 7))
    text = Corpus.of([["a", "b"], ["c", "d"], ["e"]] * 3, min_count=1)
    for _, centres, (context, _) in _positions(text, 5, 1.0, 100, draw()):
        assert {tuple(sorted((text.words[i], text.words[j]))) for i, j in zip(centres, context, strict=True)} == {
            ("a", "b"),
            ("c", "d"),
        }


def test_frequent_words_are_thinned_out():
    common = Corpus.of([(["the"] * 9 + ["cat"]) * 2000], min_count=1)
    kept = torch.cat([centres for _, centres, _ in _positions(common, 2, 0.01, 1000, draw())])
    share = math.sqrt(0.01 / 0.9) + 0.01 / 0.9
    assert float((kept == 0).sum()) / 18_000 == pytest.approx(share, rel=0.1)


def test_negatives_follow_the_power_of_the_counts(monkeypatch):
    corpus = Corpus.of([["a"] * 16 + ["b"]] * 20, min_count=1)
    seen = []
    monkeypatch.setattr(CBOW, "_step", lambda self, centres, others, *rest: seen.append(others.flatten()))
    CBOW(2, 3, generator=draw()).fit(corpus, epochs=10, subsample=1.0, generator=draw())
    assert float(torch.cat(seen).double().mean()) == pytest.approx(1 / (1 + 8), rel=0.05)


def test_a_corpus_numbers_words_by_count():
    corpus = Corpus.of([["b", "a", "rare"], ["b", "c"], ["c", "b", "a"]], min_count=2)
    assert corpus.words == ("b", "a", "c")
    assert corpus.counts.tolist() == [3, 2, 2]
    assert corpus.tokens.tolist() == [0, 1, 0, 2, 2, 0, 1]
    assert corpus.sentences.tolist() == [0, 0, 1, 1, 2, 2, 2]
    assert Corpus.of([["b", "a", "c", "b"]], min_count=1, most=2).words == ("b", "a")


def test_analogies_look_at_angles_and_never_answer_with_the_question():
    vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [3.0, 0.1], [0.1, 7.0], [-1.0, 0.0]])
    assert analogy_accuracy(vectors, [[0, 1, 2, 3]]) == 1.0
    assert analogy_accuracy(vectors * torch.tensor([[1.0], [5.0], [2.0], [0.3], [1.0]]), [[0, 1, 2, 3]]) == 1.0
    assert analogy_accuracy(vectors, [[0, 1, 2, 4], [0, 1, 2, 3]]) == 0.5
    assert analogy_accuracy(torch.eye(6), [[0, 1, 2, 3]]) == 0.0  # every other word ties


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: CBOW(12, 0, generator=draw()), "dim=0"),
        (lambda: InfiniteCBOW(0), "vocabulary=0"),
        (lambda: InfiniteCBOW(5).fit(CORPUS, generator=draw()), "12 words and the model 5"),
        (lambda: InfiniteCBOW(12).fit(CORPUS, lr=0.0, generator=draw()), r"lr=0\.0"),
        (lambda: InfiniteCBOW(12).fit(CORPUS, negatives=0, generator=draw()), "negatives=0"),
        (lambda: Corpus.of([["a", "a", "b"]], min_count=2), "1 words occur"),
        (lambda: analogy_accuracy(torch.eye(3), [[0, 1, 2, 3]]), r"shape \(1, 4\) for 3 words"),
        (lambda: analogy_accuracy(torch.eye(3), []), "m >= 1"),
    ],
)
def test_arguments_are_checked(call, says):
    with pytest.raises(BadInput, match=says):
        call()


def test_divergence_names_the_epoch():
    with pytest.raises(Diverged, match="after epoch 1 of 3; lower lr="):
        InfiniteCBOW(12).fit(CORPUS, epochs=3, lr=1e25, subsample=1.0, generator=draw())
