import numpy as np
import pytest
import torch

from overparam.errors import BadInput
from overparam.methods.scaling.kernel_limit import KernelLimit
from overparam.methods.theory.kernels import arccos_nngp, fc_ntk

RNG = np.random.default_rng(0)
X, Z = RNG.normal(size=(6, 5)), RNG.normal(size=(4, 5))


def test_kernels_are_the_expectations_over_random_networks():
    """Averages over a network of width 200,000, weights and biases drawn at the stated scales."""
    width, w, b, v = 200_000, 0.7, 0.4, 1.3
    rng = np.random.default_rng(1)
    weights, biases, readout = rng.normal(size=(width, 5)) * w, rng.normal(size=width) * b, rng.normal(size=width) * v
    pre_x, pre_z = X @ weights.T + biases, Z @ weights.T + biases
    gp = v**2 * np.maximum(pre_x, 0) @ np.maximum(pre_z, 0).T / width
    np.testing.assert_allclose(KernelLimit("gp", w, b, sigma_v=v).kernel(X, Z), gp, atol=0.03)
    through = (readout * (pre_x > 0)) @ (readout * (pre_z > 0)).T / width
    tangent = gp + (w**2 * X @ Z.T + b**2) * through
    np.testing.assert_allclose(KernelLimit("ntk", w, b, sigma_v=v).kernel(X, Z), tangent, atol=0.05)


@pytest.mark.slow
def test_the_tangent_kernel_of_wide_networks_agrees_within_two_per_cent():
    """Eight networks of width 10,000 in the tangent parametrisation, gradients by autograd."""
    draw, x, n = torch.Generator().manual_seed(0), torch.tensor(X), 10_000
    found = np.zeros((6, 6))
    for _ in range(8):
        first = torch.randn(n, 5, generator=draw, dtype=torch.float64, requires_grad=True)
        last = torch.randn(n, generator=draw, dtype=torch.float64, requires_grad=True)
        outputs = torch.relu(x @ first.T) @ last / n**0.5
        pairs = [torch.autograd.grad(out, (first, last), retain_graph=True) for out in outputs]
        slopes = torch.stack([torch.cat([g.flatten() for g in pair]) for pair in pairs])
        found += (slopes @ slopes.T).numpy() / 8
    exact = KernelLimit("ntk").kernel(X, X)
    assert np.linalg.norm(found - exact) / np.linalg.norm(exact) < 0.02


def test_without_biases_they_are_the_kernels_of_the_theory_at_another_scale():
    np.testing.assert_allclose(KernelLimit("gp").kernel(X, Z), 5 * arccos_nngp(X, Z), rtol=1e-12)
    np.testing.assert_allclose(KernelLimit("ntk").kernel(X, Z), 5 * fc_ntk(X, Z), rtol=1e-12)
    np.testing.assert_allclose(KernelLimit("linear", 0.5, 2.0).kernel(X, Z), 0.25 * X @ Z.T + 4.0, rtol=1e-12)


def test_the_kernel_of_a_point_with_nothing_in_it_is_zero():
    for kind in ("gp", "ntk", "linear"):
        assert KernelLimit(kind).kernel(np.zeros((1, 5)), X).tolist() == [[0.0] * 6]


@pytest.mark.parametrize("kind", ["gp", "ntk"])
def test_fit_goes_where_descent_on_the_squared_error_ends(kind):
    targets = RNG.normal(size=(6, 2))
    model = KernelLimit(kind).fit(X, targets)
    gram, across = model.kernel(X, X), model.kernel(Z, X)
    dual, rate = np.zeros((6, 2)), 1 / np.linalg.eigvalsh(gram)[-1]
    for _ in range(20_000):
        dual -= rate * (gram @ dual - targets)
    np.testing.assert_allclose(model.predict(Z), across @ dual, atol=1e-6)
    np.testing.assert_allclose(model.predict(X), targets, atol=1e-9)
    shrunk = KernelLimit(kind).fit(X, targets[:, 0], ridge=2.0).predict(Z)
    np.testing.assert_allclose(shrunk, across @ np.linalg.solve(gram + 2 * np.eye(6), targets[:, 0]), rtol=1e-9)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: KernelLimit("rbf"), "kind='rbf' is unknown"),
        (lambda: KernelLimit("gp", 0.0), "sigma_w=0.0"),
        (lambda: KernelLimit("gp", sigma_b=-1.0), "sigma_b=-1.0"),
        (lambda: KernelLimit().kernel(X, Z[:, :3]), "5 columns and z 3"),
        (lambda: KernelLimit().kernel(X, [1.0, np.nan]), r"z has shape \(2,\)"),
        (lambda: KernelLimit().fit(X, [1.0, 2.0]), "x has 6 rows"),
        (lambda: KernelLimit().fit(X, np.ones(6), ridge=-1), "ridge=-1"),
        (lambda: KernelLimit("linear").fit(X, np.ones(6)), "singular with ridge=0.0"),
        (lambda: KernelLimit().predict(X), "call fit"),
    ],
)
def test_arguments_are_checked(call, says):
    with pytest.raises(BadInput, match=says):
        call()
