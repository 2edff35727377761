import numpy as np
import pytest
import torch
from torch import nn

from overparam.errors import BadInput, Diverged
from overparam.methods.measures import mlp_bank
from overparam.methods.measures.memorization import estimate_memorization, subset_masks
from overparam.methods.measures.mlp_bank import MLPBank
from overparam.models.mlp import mlp


def data(n=40, features=6, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, features)), rng.integers(0, classes, n)


def by_autograd(bank, x, y, mask, seed, classes):
    """Oracle: an ordinary network and PyTorch's Adam."""
    model = mlp(x.shape[1], bank.widths, classes, generator=torch.Generator().manual_seed(seed))
    optimiser = torch.optim.Adam(model.parameters(), lr=bank.learning_rate)
    inputs, labels = torch.tensor(x[mask]).float(), torch.tensor(y[mask])
    for _ in range(bank.steps):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        optimiser.step()
    return model


@pytest.mark.parametrize("widths", [(), (8,), (8, 5)])
def test_each_network_is_that_of_an_ordinary_training(widths):
    x, y = data()
    bank, masks = MLPBank(widths=widths, steps=25), subset_masks(40, 5, fraction=0.6)
    masks[0, :10] = True  # subsets of different sizes
    trained = bank.train(x, y, masks, [3, 1, 4, 1, 5])
    points = torch.tensor(x).float()
    for k, seed in enumerate([3, 1, 4, 1, 5]):
        expected = by_autograd(bank, x, y, masks[k], seed, 3)(points)
        torch.testing.assert_close(trained.logits(x)[k], expected, atol=2e-4, rtol=2e-4)
        torch.testing.assert_close(trained.network(k)(points), trained.logits(x)[k], atol=1e-5, rtol=1e-5)


def test_a_network_depends_on_its_own_subset_and_seed_only(monkeypatch):
    x, y = data()
    masks, bank = subset_masks(40, 6), MLPBank(steps=20)
    together = bank.train(x, y, masks, range(6)).logits(x)
    alone = torch.cat([bank.train(x, y, masks[k : k + 1], [k]).logits(x) for k in range(6)])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)
    monkeypatch.setattr(mlp_bank, "CHUNK_BYTES", 1)
    torch.testing.assert_close(bank.train(x, y, masks, range(6)).logits(x), together, atol=1e-4, rtol=1e-4)
    assert torch.equal(bank.train(x, y, masks, range(6)).layers[0], bank.train(x, y, masks, range(6)).layers[0])


def test_order_of_examples_and_place_of_the_unseen_do_not_matter():
    x, y = data()
    masks, bank = subset_masks(40, 3), MLPBank(steps=20)
    plain = bank.train(x, y, masks, range(3)).logits(x)
    order = np.random.default_rng(1).permutation(40)
    torch.testing.assert_close(
        bank.train(x[order], y[order], masks[:, order], range(3)).logits(x), plain, atol=1e-4, rtol=1e-4
    )
    changed = x.copy()
    changed[~masks[0]] = 100.0
    torch.testing.assert_close(bank.train(changed, y, masks, range(3)).logits(x)[0], plain[0], atol=1e-4, rtol=1e-4)


def test_training_goes_on_and_zeros_stay():
    x, y = data()
    masks, bank = subset_masks(40, 3), MLPBank(widths=(8,), steps=10)
    first = bank.train(x, y, masks, range(3))
    for layer in first.layers:
        layer[:, :, :-1][layer[:, :, :-1].abs() < 0.2] = 0.0
        layer[:, 0, -1] = 0.0  # a bias of zero is no pruned weight
    kept = [layer.clone() for layer in first.layers]
    second = bank.train(x, y, masks, range(3), start=first)
    for before, given, after in zip(kept, first.layers, second.layers, strict=True):
        assert torch.equal(before, given)
        weights, tuned = before[:, :, :-1], after[:, :, :-1]
        assert (tuned[weights == 0] == 0).all()
        assert (tuned[weights != 0] != weights[weights != 0]).float().mean() > 0.9
        assert (after[:, 0, -1] != 0).all()
    np.testing.assert_array_equal(second.member(2).predict(x), second.predictions(x)[2])
    with pytest.raises(BadInput, match="start has layers"):
        bank.train(x, y, masks[:2], range(2), start=first)


def test_the_estimator_takes_the_fast_path_and_both_paths_agree():
    x, y = data(n=30)
    bank, calls = MLPBank(widths=(16,), steps=40), []

    class Counted(MLPBank):
        def train(self, X, y, masks, seeds):
            calls.append(len(masks))
            return super().train(X, y, masks, seeds)

    fast = estimate_memorization(Counted(widths=(16,), steps=40), x, y, x[:4], y[:4], n_subsets=12)
    assert calls == [12]
    slow = estimate_memorization(lambda X, y, seed: bank(X, y, seed), x, y, x[:4], y[:4], n_subsets=12)
    assert np.mean(fast.correct == slow.correct) > 0.99
    np.testing.assert_allclose(fast.mem, slow.mem, atol=0.2)


def test_contradicted_labels_are_memorised():
    x, y = data(n=80, features=20)
    x[:, 0] += 4 * np.sign(x[:, 0])
    flipped = np.arange(80) < 8
    y = (x[:, 0] > 0) ^ flipped
    found = estimate_memorization(MLPBank(widths=(128,), steps=100), x, y, n_subsets=30)
    assert found.mem[flipped].mean() > found.mem[~flipped].mean() + 0.3


def test_labels_of_any_kind_tensors_and_integers():
    x, y = data()
    x = np.round(x * 10).astype(np.int64)
    names = np.array(["a", "b", "c"])[y]
    masks, bank = subset_masks(40, 2), MLPBank(steps=5)
    plain = bank.train(x, y, masks, [0, 1])
    assert (bank.train(x, names, masks, [0, 1]).predictions(x) == np.array(["a", "b", "c"])[plain.predictions(x)]).all()
    tensors = bank.train(torch.tensor(x), torch.tensor(y), masks, [0, 1])
    assert torch.equal(tensors.logits(torch.tensor(x)), plain.logits(x))
    assert plain.logits(x).dtype == torch.float32
    one = bank.train(x, np.zeros(40, int), masks, [0, 1])  # one class: nothing to get wrong
    assert (one.predictions(x) == 0).all()


def test_inputs_and_the_global_state_stay_as_they_are():
    x, y = data()
    given, state = torch.tensor(x).float(), torch.get_rng_state()
    MLPBank(steps=3).train(given, torch.tensor(y), subset_masks(40, 2), [0, 1])
    assert torch.equal(given, torch.tensor(x).float())
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"masks": np.ones((2, 39), bool)}, "make them fit"),
        ({"masks": np.ones((1, 40), bool)}, "make them fit"),
        ({"masks": np.zeros((2, 40), bool)}, r"masks\[0\] chooses no examples"),
        ({"X": np.full((40, 6), np.nan)}, "NaN"),
        ({"y": np.zeros(3)}, "one label a row"),
        ({"masks": np.ones((0, 40), bool), "seeds": []}, "make them fit"),
    ],
)
def test_refuses(change, message):
    x, y = data()
    arguments = {"X": x, "y": y, "masks": np.ones((2, 40), bool), "seeds": [0, 1]} | change
    with pytest.raises(BadInput, match=message):
        MLPBank(steps=2).train(**arguments)


def test_refuses_points_of_another_width_and_a_recipe_without_steps():
    x, y = data()
    with pytest.raises(BadInput, match="the networks take 6"):
        MLPBank(steps=1)(x, y, 0).predict(x[:, :3])
    with pytest.raises(BadInput, match="positive"):
        MLPBank(steps=0)


def test_says_when_training_diverges():
    x, y = data()
    with pytest.raises(Diverged, match="learning_rate"):
        MLPBank(widths=(8, 8), steps=60, learning_rate=1e25)(x, y, 0)
