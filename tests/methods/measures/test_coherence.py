import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from overparam.errors import BadInput
from overparam.methods.measures.coherence import (
    CoherenceRecorder,
    alpha,
    alpha_from_microbatch,
    alpha_unbiased,
    coherence,
    m_coherence,
    microbatch_alpha,
    per_example_grads,
    subset_coherence,
)
from overparam.models.mlp import mlp


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(torch.relu(self.first(x)))


class Text(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.norm, self.head = nn.Embedding(7, 5), nn.LayerNorm(5), nn.Linear(5, 4)

    def forward(self, ids):
        return self.head(self.norm(self.embed(ids)).mean(1))


def cases():
    g = draw()
    y = torch.randint(0, 4, (9,), generator=g)
    conv = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, 4),
    ).eval()  # fmt: skip
    frozen = mlp(4, [6], 4, generator=g)
    frozen[1].weight.requires_grad_(False)
    return {
        "perceptron": (mlp(4, [6], 4, generator=g), torch.randn(9, 4, generator=g), y),
        "convolutions": (conv, torch.randn(9, 2, 5, 5, generator=g), y),
        "frozen part": (frozen, torch.randn(9, 4, generator=g), y),
        "tied weights": (Tied(), torch.randn(9, 4, generator=g), y),
        "tokens": (Text(), torch.randint(0, 7, (9, 3), generator=g), y),
    }


def dense(model, x, y):
    """Gradients by one backward pass an example, in float64."""
    model = copy.deepcopy(model).double()
    x = x.double() if x.is_floating_point() else x
    weights = [p for p in model.parameters() if p.requires_grad]
    rows = [
        torch.autograd.grad(functional.cross_entropy(model(x[i : i + 1]), y[i : i + 1]), weights) for i in range(len(x))
    ]
    return torch.stack([torch.cat([g.flatten() for g in row]) for row in rows])


@pytest.mark.parametrize("method", ["auto", "vmap", "loop"])
@pytest.mark.parametrize("name", cases())
def test_streaming_agrees_with_the_dense_oracle(name, method):
    model, x, y = cases()[name]
    g = dense(model, x, y)
    found = coherence(model, functional.cross_entropy, (x, y), method=method)
    assert found.m_coherence == pytest.approx(m_coherence(g), rel=1e-5)
    assert found.mean_sq_norm == pytest.approx(float(g.square().sum(1).mean()), rel=1e-5)
    assert found.alpha_unbiased == pytest.approx(alpha_unbiased(g), rel=1e-4)


@pytest.mark.parametrize("name", cases())
def test_gradients_agree_with_the_dense_oracle(name):
    model, x, y = cases()[name]
    torch.testing.assert_close(
        per_example_grads(model, functional.cross_entropy, x, y, chunk=4).double(), dense(model, x, y),
        rtol=1e-4, atol=1e-6,
    )  # fmt: skip


def test_batches_do_not_matter():
    model, x, y = cases()["perceptron"]
    whole = coherence(model, nn.CrossEntropyLoss(), (x, y))
    for data in (((x, y),), ((x[:2], y[:2]), (x[2:], y[2:]))):
        found = coherence(model, nn.CrossEntropyLoss(), list(data))
        assert found.alpha == pytest.approx(whole.alpha, rel=1e-6)
        assert found.m == 9


def test_layers_make_up_the_whole():
    model, x, y = cases()["perceptron"]
    found = coherence(model, functional.cross_entropy, (x, y), per_layer=True)
    assert list(found.per_layer) == ["1", "3"]
    total = sum(layer.mean_sq_norm for layer in found.per_layer.values())
    assert total == pytest.approx(found.mean_sq_norm)
    pooled = sum(layer.alpha * layer.mean_sq_norm for layer in found.per_layer.values()) / total
    assert pooled == pytest.approx(found.alpha)
    g = dense(model, x, y)[:, :30]  # the first layer has 4 x 6 weights and 6 biases
    assert found.per_layer["1"].m_coherence == pytest.approx(m_coherence(g), rel=1e-5)


def test_limits():
    g = torch.randn(1, 6, generator=draw()).expand(5, 6)
    assert m_coherence(g) == pytest.approx(5)
    assert m_coherence(torch.eye(5)) == pytest.approx(1)
    assert m_coherence(torch.stack([g[0], -g[0]])) == pytest.approx(0)


def test_invariances():
    g = torch.randn(7, 11, generator=draw())
    assert alpha(-3 * g) == pytest.approx(alpha(g))
    assert alpha(g[torch.randperm(7, generator=draw())]) == pytest.approx(alpha(g))
    assert m_coherence(torch.cat([g, g])) == pytest.approx(2 * m_coherence(g))
    assert 0 <= alpha(g) <= 1


def test_a_scaled_loss_leaves_the_value():
    model, x, y = cases()["perceptron"]
    scaled = lambda z, t, reduction: 7 * functional.cross_entropy(z, t, reduction=reduction)  # noqa: E731
    assert coherence(model, scaled, (x, y)).alpha == pytest.approx(
        coherence(model, functional.cross_entropy, (x, y)).alpha, rel=1e-5
    )


def test_the_corrected_value_is_unbiased_up_to_the_ratio():
    g = draw()
    mean, spread, m = 0.5, 1.0, 8
    truth = mean**2 * 20 / (mean**2 * 20 + spread**2 * 20)
    samples = mean + spread * torch.randn(4000, m, 20, generator=g)
    of_mean = samples.mean(1).square().sum(1).mean()
    of_each = samples.square().sum(2).mean()
    plain = float(of_mean / of_each)
    assert plain == pytest.approx(truth * (1 - 1 / m) + 1 / m, rel=0.01)
    assert (m * plain - 1) / (m - 1) == pytest.approx(truth, rel=0.02)


@pytest.mark.parametrize("k", [1, 4, 10])
def test_microbatches_follow_their_identity(k):
    g, mean = draw(), 0.3
    single = mean**2 / (mean**2 + 1)
    means = (mean + torch.randn(20000, k, 5, generator=g)).mean(1)
    measured = 5 * mean**2 / float(means.square().sum(1).mean())
    assert microbatch_alpha(single, k) == pytest.approx(measured, rel=0.03)
    assert alpha_from_microbatch(microbatch_alpha(single, k), k) == pytest.approx(single)


def test_groups():
    model, x, y = cases()["perceptron"]
    groups = torch.tensor([0, 0, 0, 0, 5, 5, 5, 5, 5])
    found = subset_coherence(model, functional.cross_entropy, (x, y), groups)
    assert list(found) == [0, 5]
    assert found[5].alpha == pytest.approx(coherence(model, functional.cross_entropy, (x[4:], y[4:])).alpha)
    with pytest.raises(BadInput, match="3 entries for 9 examples"):
        subset_coherence(model, functional.cross_entropy, (x, y), groups[:3])


def test_the_recorder_leaves_the_model_as_it_was():
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 4))
    model[2].eval()
    before = copy.deepcopy(model.state_dict())
    x, y = torch.randn(8, 4), torch.randint(0, 4, (8,))
    recorder = CoherenceRecorder(model, functional.cross_entropy, (x, y), every=3)
    for _ in range(4):
        recorder.step()
    assert [s for s, _ in recorder.history] == [0, 3]
    assert [m.training for m in model.modules()] == [True, True, True, False, True]
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    with pytest.raises(BadInput, match="every=0"):
        CoherenceRecorder(model, functional.cross_entropy, (x, y), every=0)


def test_model_gradients_and_random_state_are_untouched():
    model, x, y = cases()["perceptron"]
    state = torch.get_rng_state()
    coherence(model, functional.cross_entropy, (x, y))
    assert torch.equal(state, torch.get_rng_state())
    assert all(p.grad is None for p in model.parameters())
    assert not any(m._forward_hooks for m in model.modules())


def test_zero_gradients_are_undefined_and_said_so():
    model = nn.Linear(2, 1)
    x = torch.ones(3, 2)
    with pytest.warns(UserWarning, match="all gradients are zero"):
        found = coherence(model, nn.MSELoss(), (x, model(x).detach()))
    assert math.isnan(found.alpha)
    with pytest.warns(UserWarning, match="all gradients are zero"):
        assert math.isnan(alpha(torch.zeros(3, 2)))


def test_one_example_has_no_agreement_to_measure():
    model, x, y = cases()["perceptron"]
    found = coherence(model, functional.cross_entropy, (x[:1], y[:1]))
    assert found.alpha == pytest.approx(1)
    assert math.isnan(found.alpha_unbiased)


def test_bad_input():
    model, x, y = cases()["perceptron"]
    with pytest.raises(BadInput, match="no examples"):
        coherence(model, functional.cross_entropy, (x[:0], y[:0]))
    with pytest.raises(BadInput, match="method='fast'"):
        coherence(model, functional.cross_entropy, (x, y), method="fast")
    tied, tx, ty = cases()["tied weights"]
    with pytest.raises(BadInput, match="weights that two layers share"):
        coherence(tied, functional.cross_entropy, (tx, ty), method="hooks")
    with pytest.raises(BadInput, match="eval"):
        coherence(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)), functional.cross_entropy, (x, y))
    for bad in (lambda: microbatch_alpha(1.5, 2), lambda: alpha_from_microbatch(0.5, 0)):
        with pytest.raises(BadInput, match="k>=1"):
            bad()
    with pytest.raises(BadInput, match="pass \\(m, P\\)"):
        alpha(torch.zeros(3))
