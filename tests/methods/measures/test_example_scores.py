import math

import numpy as np
import pytest
import torch
from torch import nn

from overparam.errors import BadInput
from overparam.methods.measures.example_scores import (
    ForgettingTracker,
    ScoreTable,
    el2n,
    margin_score,
    score_ensemble,
    select,
)
from overparam.methods.training.fixed_steps import Recipe, batch_order, train_fixed_steps
from overparam.models.mlp import mlp


class Given(nn.Module):
    """Returns its input as logits."""

    def forward(self, x):
        return x


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_el2n_of_uniform_probabilities(classes):
    y = torch.arange(classes)
    scores = el2n(Given(), (torch.zeros(classes, classes).double(), y))
    torch.testing.assert_close(scores, torch.full((classes,), math.sqrt(1 - 1 / classes), dtype=torch.float64))


def test_el2n_is_root_two_where_confidently_wrong_and_zero_where_right():
    logits = 100 * torch.eye(3, dtype=torch.float64)[[0, 0]]
    scores = el2n(Given(), (logits, torch.tensor([1, 0])))
    torch.testing.assert_close(scores, torch.tensor([math.sqrt(2), 0.0], dtype=torch.float64))


def test_whole_tensors_chunks_and_batches_agree():
    x, y = torch.randn(10, 3, generator=torch.Generator().manual_seed(0)), torch.arange(10) % 3
    whole = el2n(Given(), (x, y))
    assert torch.equal(el2n(Given(), (x, y), chunk=3), whole)
    assert torch.equal(el2n(Given(), [(x[:5], y[:5]), (x[5:], y[5:])]), whole)
    assert torch.equal(el2n(Given(), ((x[:5], y[:5]), (x[5:], y[5:]))), whole)


def test_margins():
    logits = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]]).double().log()
    y = torch.tensor([0, 1])
    expected = {"max": [-0.2, 0.5], "sum": [0.0, 0.6]}
    for kind, values in expected.items():
        torch.testing.assert_close(
            margin_score(Given(), (logits, y), kind=kind), torch.tensor(values, dtype=torch.float64)
        )
    with pytest.raises(BadInput, match="kind='mean'"):
        margin_score(Given(), (logits, y), kind="mean")


def test_scores_refuse_bad_labels_empty_data_and_training_mode():
    x = torch.zeros(2, 3)
    for wrong in ([0, 3], [-1, 0]):
        with pytest.raises(BadInput, match="pass 0 to 2"):
            el2n(Given(), (x, torch.tensor(wrong)))
    with pytest.raises(BadInput, match="no examples"):
        el2n(Given(), [])
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    with pytest.raises(BadInput, match=r"call model\.eval"):
        el2n(model, (x, torch.zeros(2).long()))
    assert model.training, "the mode must not be switched silently"


@pytest.mark.parametrize(
    ("sequence", "expected"), [([1, 0, 1, 0, 0, 1], 2), ([0, 0, 0], math.inf), ([0, 1, 1], 0), ([1], 0), ([], math.inf)]
)
def test_forgetting_sequences(sequence, expected):
    tracker = ForgettingTracker(3)
    for right in sequence:
        tracker.update(torch.tensor([1]), torch.tensor([right]))
    assert tracker.scores()[1] == expected


def test_forgetting_does_not_depend_on_batch_split():
    draw = torch.Generator().manual_seed(0)
    whole, parts = ForgettingTracker(8), ForgettingTracker(8)
    for _ in range(20):
        order, right = torch.randperm(8, generator=draw), torch.rand(8, generator=draw) < 0.5
        whole.update(order, right)
        for i in range(0, 8, 2):
            parts.update(order[i : i + 2], right[i : i + 2])
    np.testing.assert_array_equal(whole.scores(), parts.scores())


def test_merged_forgetting_is_the_mean_and_keeps_infinity():
    first, second = ForgettingTracker(2), ForgettingTracker(2)
    for right in ([1, 1], [0, 1]):
        first.update(torch.arange(2), torch.tensor(right))
    second.update(torch.arange(2), torch.tensor([1, 0]))
    np.testing.assert_array_equal(ForgettingTracker.merge([first, second]), [0.5, math.inf])
    with pytest.raises(BadInput, match="at least one"):
        ForgettingTracker.merge([])


def test_forgetting_refuses_repeated_and_unknown_positions():
    tracker = ForgettingTracker(3)
    with pytest.raises(BadInput, match="repeat"):
        tracker.update(torch.tensor([1, 1]), torch.tensor([1, 0]))
    with pytest.raises(BadInput, match="pass 0 to 2"):
        tracker.update(torch.tensor([3]), torch.tensor([1]))


def test_select_halves_are_disjoint_and_windows_have_their_size():
    scores = np.random.default_rng(0).random(100)
    top, bottom = select(scores, 0.5), select(scores, 0.5, mode="min")
    assert not set(top) & set(bottom)
    assert len(top) == len(bottom) == 50
    assert scores[top].min() > scores[bottom].max()
    window = select(scores, 0.4, mode="offset", offset=0.5)
    ranks = scores.argsort().argsort()
    assert sorted(ranks[window]) == list(range(50, 90))
    np.testing.assert_array_equal(select(scores, 0.4, mode="offset", offset=0.6), select(scores, 0.4))
    np.testing.assert_array_equal(select(scores, 1.0), np.arange(100))


def test_select_follows_a_permutation_of_the_examples():
    scores = np.random.default_rng(0).random(60)
    swap = np.random.default_rng(1).permutation(60)
    np.testing.assert_array_equal(np.sort(swap[select(scores[swap], 0.3)]), select(scores, 0.3))


def test_ties_are_broken_by_the_seed_and_favour_no_position():
    scores = np.zeros(1000)
    first, second = select(scores, 0.5, seed=0), select(scores, 0.5, seed=1)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, select(scores, 0.5, seed=0))
    assert 200 < (first < 500).sum() < 300


def test_random_selection_ignores_the_scores():
    a, b = select(np.arange(50.0), 0.4, mode="random", seed=3), select(np.zeros(50), 0.4, mode="random", seed=3)
    np.testing.assert_array_equal(a, b)


def test_infinite_scores_are_highest():
    assert select([1.0, math.inf, 2.0, 0.0], 0.25).tolist() == [1]


def test_class_balance():
    labels = np.repeat([0, 1], [80, 20])
    scores = np.where(labels == 1, 10.0, 0.0) + np.random.default_rng(0).random(100)
    assert np.bincount(labels[select(scores, 0.5)]).tolist() == [30, 20]
    assert np.bincount(labels[select(scores, 0.5, labels=labels)]).tolist() == [40, 10]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"scores": [0.0, math.nan], "keep": 0.5}, "1 NaN"),
        ({"scores": [0.0, 1.0], "keep": 0.0}, "keep=0.0"),
        ({"scores": [0.0, 1.0], "keep": 1.1}, "keep=1.1"),
        ({"scores": [0.0, 1.0], "keep": 0.5, "mode": "best"}, "mode='best'"),
        ({"scores": [0.0, 1.0], "keep": 0.5, "mode": "offset", "offset": 0.6}, "offset"),
        ({"scores": [0.0, 1.0], "keep": 0.5, "offset": 0.2}, "mode='offset'"),
        ({"scores": [0.0, 1.0], "keep": 0.5, "labels": [1]}, "one label an example"),
    ],
)
def test_select_refuses(arguments, words):
    with pytest.raises(BadInput, match=words):
        select(arguments.pop("scores"), **arguments)


def problem():
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(40, 5, generator=draw)
    return x, (x[:, 0] > 0).long()


def make(seed):
    return mlp(5, [8], 2, generator=torch.Generator().manual_seed(seed))


def train(nets, at_steps):
    x, y = problem()
    draw, recipe = torch.Generator().manual_seed(1), Recipe(steps=12, batch_size=8)
    orders = torch.stack([batch_order(torch.arange(40), steps=12, batch_size=8, generator=draw) for _ in nets])
    return train_fixed_steps(nets, x, y, orders=orders, recipe=recipe, at_steps=at_steps).items()


def test_ensemble_scores_every_run_at_every_step():
    x, y = problem()
    table = score_ensemble(make, train, (x, y), scores=("el2n", "grand", "margin"), at_steps=(0, 6), runs=4, seed=7)
    assert {name: v.shape for name, v in table.values.items()} == dict.fromkeys(("el2n", "grand", "margin"), (2, 4, 40))
    fresh = np.mean([el2n(make(7 + r), (x, y)).double().numpy() for r in range(4)], axis=0)
    np.testing.assert_allclose(table.mean("el2n", step=0), fresh, rtol=1e-6)
    assert -1 <= table.split_half("el2n", step=6) <= 1


def test_a_restored_checkpoint_of_the_wrong_step_is_noticed():
    x, y = problem()

    def late(nets, at_steps):  # returns trained weights as step 0
        return [(0, dict(train(nets, [6]))[6])]

    def stuck(nets, at_steps):  # returns the initial weights as a later step
        return [(6, nets)]

    for wrong, at_steps, words in ((late, (0,), "as step 0"), (stuck, (6,), "initial weights as step 6")):
        with pytest.raises(BadInput, match=words):
            score_ensemble(make, wrong, (x, y), at_steps=at_steps, runs=2)
    with pytest.raises(BadInput, match=r"steps \[6\] where \[0, 6\]"):
        score_ensemble(make, lambda nets, steps: train(nets, [6]), (x, y), at_steps=(0, 6), runs=2)


def test_ensemble_and_table_refuse():
    x, y = problem()
    with pytest.raises(BadInput, match="scores='loss'"):
        score_ensemble(make, train, (x, y), scores=("loss",), at_steps=(0,))
    with pytest.raises(BadInput, match="increasing"):
        score_ensemble(make, train, (x, y), at_steps=(6, 0))
    table = ScoreTable((0,), {"el2n": np.ones((1, 1, 3))})
    with pytest.raises(BadInput, match="at least 2"):
        table.split_half("el2n", step=0)
    with pytest.raises(BadInput, match="step=1"):
        table.mean("el2n", step=1)
    with pytest.raises(BadInput, match="score='loss'"):
        table.mean("loss", step=0)
