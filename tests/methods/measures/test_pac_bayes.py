import math
import time

import pytest
import torch
from torch import nn
from torch.func import functional_call

from overparam.errors import BadInput
from overparam.methods.measures import pac_bayes
from overparam.methods.measures.pac_bayes import each_draw, pacbayes_sigma, perturbed
from overparam.models.mlp import mlp


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def fitted(n=400):
    model, x = mlp(6, [16], 3, generator=draw()), torch.randn(n, 6, generator=draw(1))
    return model, (x, model(x).argmax(1))


def mean_drop(model, x, y, sigma, draws, seed=0, magnitude=False):
    """Oracle: one draw after another, on the same normal numbers."""
    weights = perturbed(model, everything=False)
    flat = torch.randn(draws, sum(w.numel() for w in weights.values()), generator=draw(seed))
    right = []
    for row in flat:
        noisy, offset = {}, 0
        for name, w in weights.items():
            spread = (sigma**2 * w.square() + 1e-6).sqrt() if magnitude else sigma
            noisy[name] = w + row[offset : offset + w.numel()].view_as(w) * spread
            offset += w.numel()
        right.append((functional_call(model, noisy, (x,)).argmax(1) == y).double().mean())
    return float((model(x).argmax(1) == y).double().mean() - torch.stack(right).mean())


@pytest.mark.parametrize("magnitude", [False, True])
def test_the_drop_at_the_scale_that_was_found_is_the_one_asked_for(magnitude):
    model, (x, y) = fitted()
    found = pacbayes_sigma(model, (x, y), magnitude=magnitude, seed=3)
    assert found.state == "found"
    assert found.drop == pytest.approx(mean_drop(model, x, y, float(found), 10, 3, magnitude), abs=1e-6)
    assert abs(found.drop - 0.1) < 0.01
    assert found.low < found.value < found.high


def test_a_larger_drop_needs_more_noise():
    model, data = fitted()
    scales = [float(pacbayes_sigma(model, data, target_drop=drop)) for drop in (0.05, 0.1, 0.2, 0.4)]
    assert scales == sorted(scales)
    assert scales[0] < scales[-1]


def test_noise_in_small_stacks_and_batches_gives_the_same(monkeypatch):
    model, (x, y) = fitted()
    whole = pacbayes_sigma(model, (x, y))
    monkeypatch.setattr(pac_bayes, "STORED", 400)
    parts = pacbayes_sigma(model, list(zip(x.split(37), y.split(37), strict=True)))
    assert parts.value == whole.value
    assert parts.halvings == whole.halvings


@pytest.mark.parametrize("magnitude", [False, True])
def test_stopping_early_leads_to_the_same_scale(monkeypatch, magnitude):
    model, data = fitted(1_000)
    early = pacbayes_sigma(model, data, magnitude=magnitude)
    monkeypatch.setattr(pac_bayes, "FIRST", 10**9)
    monkeypatch.setattr(pac_bayes, "ROWS", 10**9)
    whole = pacbayes_sigma(model, data, magnitude=magnitude)
    assert (early.value, early.drop, early.halvings) == (whole.value, whole.drop, whole.halvings)


def test_most_halvings_see_few_examples(monkeypatch):
    model, data = fitted(1_000)
    seen = []

    def count(network, weights, x, number):
        seen.append(len(x))
        return each_draw(network, weights, x, number)

    monkeypatch.setattr(pac_bayes, "each_draw", count)
    found = pacbayes_sigma(model, data)
    assert sum(seen) < 0.7 * found.halvings * 1_000


def test_sequences_of_different_lengths_are_not_shuffled():
    model = nn.Sequential(nn.Embedding(9, 5), nn.Linear(5, 9))
    batches = [(t, t) for t in (torch.arange(8).view(2, 4), torch.arange(9).view(3, 3))]
    with torch.no_grad():
        model[1].weight.copy_(model[0].weight), model[1].bias.zero_()
    assert 0 < float(pacbayes_sigma(model, batches)) <= 2


def test_one_after_another_gives_what_vmap_gives(monkeypatch):
    model, (x, _) = fitted()
    weights = {name: torch.stack([w, 2 * w]) for name, w in perturbed(model, everything=True).items()}
    together = each_draw(model, weights, x, 2)

    def refuse(*_, **__):
        raise RuntimeError("no batching rule")

    monkeypatch.setattr(pac_bayes, "vmap", refuse)
    torch.testing.assert_close(each_draw(model, weights, x, 2), together)


def test_scaling_layers_against_each_other_changes_sigma_but_hardly_the_relative_one():
    model, data = fitted()
    before = pacbayes_sigma(model, data), pacbayes_sigma(model, data, magnitude=True)
    with torch.no_grad():
        model[1].weight.mul_(8), model[1].bias.mul_(8), model[3].weight.div_(8)
    assert float(pacbayes_sigma(model, data)) < 0.8 * float(before[0])
    assert float(pacbayes_sigma(model, data, magnitude=True)) == pytest.approx(float(before[1]), rel=0.2)


def test_frozen_weights_carry_no_noise():
    model, data = fitted()
    model[1].weight.requires_grad_(False)
    assert list(perturbed(model, everything=False)) == ["3.weight"]
    assert list(perturbed(model, everything=True)) == ["1.bias", "3.weight", "3.bias"]
    assert float(pacbayes_sigma(model, data)) > 0


def test_the_other_code_takes_a_variance_for_a_deviation():
    model, data = fitted()
    ours, theirs = float(pacbayes_sigma(model, data)), float(pacbayes_sigma(model, data, compat="nitarshan"))
    assert theirs == pytest.approx(math.sqrt(ours), rel=0.35)  # its noise lies on biases, too


def test_a_network_that_noise_cannot_hurt_ends_at_the_edge():
    x = torch.randn(20, 6, generator=draw())
    found = pacbayes_sigma(mlp(6, [], 2, generator=draw()), (x, torch.zeros(20, dtype=torch.long)), high=1e-9)
    assert (found.state, found.value, found.halvings) == ("edge", 1e-9, 15)


def test_a_deadline_ends_the_search_at_the_lower_end_of_the_bracket():
    model, data = fitted()
    found = pacbayes_sigma(model, data, deadline=time.monotonic() - 1)
    assert (found.state, found.value, found.halvings, found.drop) == ("deadline", 0.0, 0, None)


def test_a_deadline_in_the_middle_keeps_what_is_known(monkeypatch):
    model, data = fitted()
    ticks = iter(range(10_000))
    monkeypatch.setattr(pac_bayes.time, "monotonic", lambda: next(ticks))
    found = pacbayes_sigma(model, data, deadline=9, depth=15, tolerance=1e-9)
    assert found.state == "deadline"
    assert 0 < found.halvings < 15
    assert found.value == found.low
    assert found.high < 2.0


def test_the_model_and_the_random_state_stay_as_they_were():
    model, data = fitted()
    before = {name: w.clone() for name, w in model.state_dict().items()}
    state = torch.random.get_rng_state()
    pacbayes_sigma(model, data)
    assert all(torch.equal(before[name], w) for name, w in model.state_dict().items())
    assert torch.equal(state, torch.random.get_rng_state())
    assert model.training
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


def test_recurrent_networks_on_tokens():
    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.read, self.head = nn.Embedding(9, 4), nn.LSTM(4, 4, batch_first=True), nn.Linear(4, 2)

        def forward(self, tokens):
            return self.head(self.read(self.embed(tokens))[0][:, -1])

    model, tokens = Reader(), torch.randint(0, 9, (60, 5), generator=draw())
    found = pacbayes_sigma(model, (tokens, model(tokens).argmax(1)))
    assert list(perturbed(model, everything=False)) == ["head.weight"]
    assert float(found) > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target_drop": 0.0}, "target_drop=0.0"),
        ({"tolerance": 0.2}, "tolerance=0.2"),
        ({"draws": 0}, "must be positive"),
        ({"depth": 0}, "must be positive"),
        ({"high": 0.0}, "must be positive"),
        ({"compat": "jiang"}, "compat='jiang'"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    model, data = fitted(20)
    with pytest.raises(BadInput, match=message):
        pacbayes_sigma(model, data, **arguments)


def test_a_model_without_matrices():
    with pytest.raises(BadInput, match="no trainable nn.Linear"):
        pacbayes_sigma(nn.Embedding(3, 3), (torch.arange(3), torch.arange(3)))
