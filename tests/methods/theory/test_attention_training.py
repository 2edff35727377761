import numpy as np
import pytest
import torch

from overparam.errors import BadInput, Diverged
from overparam.methods.theory.attention_svm import attention_svm, correlation
from overparam.methods.theory.attention_training import (
    attention_gradient,
    normalised,
    token_scores,
    train_attention_batched,
)
from overparam.methods.training.normalized_gd import NormalizedGD
from overparam.models.attention import OneLayerAttention

EPS = float(np.finfo(np.float64).eps)


def batch(r=3, n=4, tokens=5, d=6, seed=0):
    rng = np.random.default_rng(seed)
    unit = lambda *s: (lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True))(rng.normal(size=s))  # noqa: E731
    return unit(r, n, tokens, d), rng.choice([-1.0, 1.0], (r, n)), unit(r, n, d), unit(r, d)


def perceptron(r=3, h=7, d=6):
    rng = np.random.default_rng(5)
    return rng.normal(size=(r, h, d)), rng.normal(size=(r, h))


@pytest.mark.parametrize("head", ["linear", "perceptron"])
@pytest.mark.parametrize("saturated", [False, True])
def test_the_gradient_is_that_of_autograd(head, saturated):
    X, Y, z, v = batch()
    W = np.random.default_rng(1).normal(size=(3, 6, 6))
    fixed = v if head == "linear" else perceptron()
    gradient, share, loss = attention_gradient(X, Y, z, fixed, W, saturated=saturated)
    for r in range(3):
        w = torch.tensor(W[r], requires_grad=True)
        x, q, y = (torch.from_numpy(a[r]) for a in (X, z, Y))
        s = torch.einsum("ntd,de,ne->nt", x, w, q).softmax(-1)
        seen = torch.einsum("nt,ntd->nd", s, x)
        if head == "linear":
            out = seen @ torch.from_numpy(v[r])
        else:
            out = (seen @ torch.from_numpy(fixed[0][r]).T).relu() @ torch.from_numpy(fixed[1][r])
        value = torch.nn.functional.softplus(-y * out).mean()
        value.backward()
        np.testing.assert_allclose(gradient[r], w.grad, atol=1e-14)
        np.testing.assert_allclose(share[r], s.detach(), atol=1e-14)
        assert loss[r] == pytest.approx(value.item())


def test_the_direction_stays_right_when_a_probability_rounds_to_one():
    X, Y, z, v = batch(1, 1, 2, 6)
    best = int(token_scores(X, Y, v)[0, 0].argmax())
    wanted = np.outer(X[0, 0, best] - X[0, 0, 1 - best], z[0, 0])  # the descent direction in exact arithmetic
    W = 300 * wanted[None]
    mended, share, _ = attention_gradient(X, Y, z, v, W)
    assert share.max() == 1.0
    assert correlation(-mended[0], wanted) == pytest.approx(1, abs=1e-12)
    plain, *_ = attention_gradient(X, Y, z, v, W, saturated=False)
    assert correlation(-plain[0], wanted) < 0.9


@pytest.mark.slow
@pytest.mark.parametrize("factored", [False, True])
def test_training_is_what_the_layer_and_the_optimiser_do(factored):
    X, Y, z, v = batch()
    run = train_attention_batched(X, Y, z, v, factored=factored, steps=30, records=31, seeds=[4, 5, 6])
    for r in range(3):
        layer = OneLayerAttention(6, factored=factored, head=torch.from_numpy(v[r]), dtype=torch.float64)
        rng = np.random.default_rng([4 + r, 6])
        with torch.no_grad():
            for p in layer.parameters():
                p.copy_(torch.from_numpy(rng.uniform(-(6**-0.5), 6**-0.5, (6, 6))))
        eps, decay = (EPS, 2 * EPS) if factored else (0.0, 0.0)
        optimiser = NormalizedGD(layer.parameters(), lr=0.1, eps=eps, decay=decay)
        x, q, y = (torch.from_numpy(a[r]) for a in (X, z, Y))
        for step in range(30):
            np.testing.assert_allclose(run.path[step, r], layer.W.detach(), atol=1e-9)
            optimiser.zero_grad()
            torch.nn.functional.softplus(-y * layer(x, q)).mean().backward()
            optimiser.step()
        layer(x, q)
        np.testing.assert_allclose(run.softmax[r], layer.last_softmax, atol=1e-9)


def test_adam_is_that_of_torch_and_gd_is_plain_descent():
    X, Y, z, v = batch(1)
    for name, make in (("adam", torch.optim.Adam), ("gd", torch.optim.SGD)):
        run = train_attention_batched(X, Y, z, v, steps=25, lr=0.05, optimiser=name, init="zero")
        w = torch.zeros(6, 6, dtype=torch.float64, requires_grad=True)
        optimiser = make([w], lr=0.05)
        x, q, y, u = (torch.from_numpy(a[0]) for a in (X, z, Y, v))
        for _ in range(25):
            optimiser.zero_grad()
            s = torch.einsum("ntd,de,ne->nt", x, w, q).softmax(-1)
            torch.nn.functional.softplus(-y * (torch.einsum("nt,ntd->nd", s, x) @ u)).mean().backward()
            optimiser.step()
        np.testing.assert_allclose(run.weights[0], w.detach(), atol=1e-9)


def test_seeds_together_are_seeds_one_by_one_and_inputs_stay():
    X, Y, z, v = batch()
    before = [a.copy() for a in (X, Y, z, v)]
    together = train_attention_batched(X, Y, z, v, steps=50, factored=True)
    for r in range(3):
        alone = train_attention_batched(X[[r]], Y[[r]], z[[r]], v[[r]], steps=50, factored=True, seeds=[r])
        np.testing.assert_allclose(together.weights[r], alone.weights[0], atol=1e-9)
    for a, b in zip(before, (X, Y, z, v), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_w_converges_to_the_frobenius_and_kq_to_the_nuclear_machine():
    X, Y, z, v = batch(4, 3, 4, 6, seed=2)
    for factored, norm, other in ((False, "fro", "nuc"), (True, "nuc", "fro")):
        run = train_attention_batched(X, Y, z, v, factored=factored, steps=3000)
        for r in range(4):
            near, far = (
                correlation(run.weights[r], attention_svm(X[r], z[r], run.selected[r], norm=k).W) for k in (norm, other)
            )
            assert near > 0.98
            assert near > far


def test_normalised_descent_grows_linearly_long_after_saturation():
    X, Y, z, v = batch(1)
    run = train_attention_batched(X, Y, z, v, steps=3000, records=4)
    assert run.steps.tolist() == [0, 1000, 2000, 3000]
    sizes = np.linalg.norm(run.path[:, 0], axis=(1, 2))
    assert np.diff(sizes)[1:] == pytest.approx(100, rel=0.03)  # 1,000 steps of 0.1, nearly all one way
    assert (np.diff(run.loss[:, 0]) <= 1e-15).all()


def test_starts_are_as_described():
    X, Y, z, v = batch()
    zero = train_attention_batched(X, Y, z, v, steps=1, init="zero")
    np.testing.assert_array_equal(zero.path[0], 0)
    assert np.linalg.norm(zero.weights, axis=(1, 2)) == pytest.approx(0.1)  # one step of fixed length
    both = train_attention_batched(X, Y, z, v, steps=1, init="zero", factored=True)
    np.testing.assert_array_equal(both.path[0], 0)
    linear = train_attention_batched(X, Y, z, v, steps=1)
    assert 0.3 < np.abs(linear.path[0]).max() <= 6**-0.5
    assert not np.array_equal(linear.path[0, 0], linear.path[0, 1])


def test_normalising_keeps_tiny_gradients_and_zeros():
    g = np.random.default_rng(0).normal(size=(2, 3, 3))
    np.testing.assert_allclose(normalised(1e-300 * g), normalised(g), rtol=1e-12)
    assert np.linalg.norm(normalised(g), axis=(1, 2)) == pytest.approx(1)
    np.testing.assert_array_equal(normalised(0 * g), 0)
    assert np.linalg.norm(normalised(1e-16 * g / np.linalg.norm(g), EPS)) < 0.5  # as the official division


def test_divergence_names_the_step():
    X, Y, z, v = batch(1)
    with pytest.raises(Diverged, match=r"at step 1; lr=1e\+200 is too large"):
        train_attention_batched(X, Y, z, v, steps=50, lr=1e200, factored=True)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"X": np.zeros((3, 4, 6))}, "X has shape"),
        ({"X": np.zeros((3, 4, 1, 6))}, "T >= 2"),
        ({"X": np.full((3, 4, 5, 6), np.nan)}, "X holds 360 values"),
        ({"Y": np.zeros((3, 4))}, "Y has shape"),
        ({"Y": np.ones((3, 5))}, "Y has shape"),
        ({"z": np.zeros((3, 5, 6))}, "z has shape"),
        ({"z": np.full((3, 4, 6), np.inf)}, "z holds 72 values"),
        ({"z": np.ones((3, 4, 2))}, "z has width 2 and X 6"),
        ({"head": np.zeros((3, 5))}, "head has shapes"),
        ({"head": np.full((3, 6), np.nan)}, "head holds 18 values"),
        ({"head": (np.zeros((3, 2, 6)), np.zeros((3, 3)))}, "head has shapes"),
        ({"steps": 0}, "steps=0"),
        ({"lr": 0.0}, "lr=0.0"),
        ({"records": 1}, "records=1"),
        ({"optimiser": "lion"}, "optimiser='lion'"),
        ({"init": "ones"}, "init='ones'"),
        ({"seeds": [1]}, "seeds has 1 entries for 3"),
    ],
)
def test_arguments_are_checked(change, says):
    X, Y, z, v = batch()
    with pytest.raises(BadInput, match=says):
        train_attention_batched(**{"X": X, "Y": Y, "z": z, "head": v, "steps": 2, **change})
