import numpy as np
import pytest

from overparam.errors import BadInput
from overparam.methods.tuning.discovery import discover
from overparam.methods.tuning.exact_duals import exact_graph_kernel, exact_ridge_interpolation

RNG = np.random.default_rng(0)


def features(m=6, n=20, v=12, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n + v, 5))
    y = np.where(x[:, 0] + 0.5 * rng.standard_normal(n + v) > 0, 1.0, -1.0)
    hidden = x @ rng.standard_normal((5, m))
    return np.maximum(hidden, 0), np.tanh(hidden), y, n


def ridge_accuracy(alpha, r, s, y, n, ridge):
    """Fit and score one alpha at a time."""
    mixed = alpha * r + (1 - alpha) * s
    w = np.linalg.solve(mixed[:n].T @ mixed[:n] + ridge * np.eye(r.shape[1]), mixed[:n].T @ y[:n])
    return float((np.where(mixed[n:] @ w > 0, 1, -1) == y[n:]).mean())


def harmonic_accuracy(alpha, s, y, y_u, degree):
    """Solve one alpha at a time for the labels of minimum energy."""
    weights = (s + alpha) ** degree
    np.fill_diagonal(weights, 0)
    laplacian, k = np.diag(weights.sum(1)) - weights, len(y)
    f = np.linalg.solve(laplacian[k:, k:], weights[k:, :k] @ y)
    return float((np.where(f > 0, 1, -1) == y_u).mean())


@pytest.mark.parametrize("seed", range(4))
def test_mixed_activations_are_exact_on_every_piece(seed):
    r, s, y, n = features(seed=seed)
    f = exact_ridge_interpolation(r[:n], s[:n], y[:n], r[n:], s[n:], y[n:], ridge=0.1)
    middles = 0.5 * (f.edges[1:] + f.edges[:-1])
    points = np.concatenate([middles, np.random.default_rng(1).random(300)])
    assert f(points).tolist() == pytest.approx([ridge_accuracy(a, r, s, y, n, 0.1) for a in points])
    assert len(f.breaks) <= 2 * 12 * 7


def test_the_ends_are_the_two_activations():
    r, s, y, n = features()
    f = exact_ridge_interpolation(r[:n], s[:n], y[:n], r[n:], s[n:], y[n:], ridge=0.1)
    assert f(0.0) == pytest.approx(ridge_accuracy(0.0, r, s, y, n, 0.1))
    assert f(1.0) == pytest.approx(ridge_accuracy(1.0, r, s, y, n, 0.1))
    same = exact_ridge_interpolation(r[:n], r[:n], y[:n], r[n:], r[n:], y[n:], ridge=0.1)
    assert len(same.breaks) == 0


@pytest.mark.parametrize("degree", [1, 2, 5, 6])
def test_graph_kernels_are_exact_on_every_piece(degree):
    x = RNG.standard_normal((16, 3))
    distance = ((x[:, None] - x) ** 2).sum(2)
    s, y = 1 - distance / distance.max(), np.where(x[:, 0] > 0, 1.0, -1.0)
    lo = 0.01 if degree % 2 else -0.9
    f = exact_graph_kernel(s, y[:6], y[6:], degree=degree, lo=lo, hi=2.0)
    middles = 0.5 * (f.edges[1:] + f.edges[:-1])
    points = np.concatenate([middles, np.random.default_rng(1).uniform(lo, 2.0, 200)])
    assert f(points).tolist() == pytest.approx([harmonic_accuracy(a, s, y[:6], y[6:], degree) for a in points])


def test_bisection_finds_the_same_breaks():
    r, s, y, n = features(m=10, n=30, v=20, seed=3)
    f = exact_ridge_interpolation(r[:n], s[:n], y[:n], r[n:], s[n:], y[n:], ridge=0.1)

    def predict(alphas):
        return np.array([
            np.sign((a * r + (1 - a) * s)[n:] @ np.linalg.solve(
                (m := (a * r + (1 - a) * s)[:n]).T @ m + 0.1 * np.eye(10), m.T @ y[:n])) for a in alphas
        ])  # fmt: skip

    found = discover(predict, 0.0, 1.0, n_init=257)
    assert len(f.breaks) == 2
    np.testing.assert_allclose(found.breaks, f.breaks, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ridge": 0.0}, "ridge=0"),
        ({"y": np.zeros(20)}, "y needs labels -1 and 1"),
        ({"y_val": np.ones(3)}, "labels for 20 and 12"),
        ({"second": np.ones((20, 5))}, "features have shapes"),
        ({"lo": 2.0}, "lo < hi"),
    ],
)
def test_bad_features_are_named(change, said):
    r, s, y, n = features()
    given = {"first": r[:n], "second": s[:n], "y": y[:n], "first_val": r[n:], "second_val": s[n:], "y_val": y[n:]}
    with pytest.raises(BadInput, match=said):
        exact_ridge_interpolation(**{**given, "ridge": 0.1, **change})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"similarity": np.triu(np.ones((4, 4)))}, "a symmetric matrix"),
        ({"similarity": np.ones((3, 3))}, "for 4 labels"),
        ({"degree": 0}, "degree=0"),
        ({"degree": 3, "lo": -2.0}, "odd degree 3; raise lo above -1"),
        ({"y": [0.0, 1.0]}, "labels -1 and 1"),
    ],
)
def test_bad_graphs_are_named(change, said):
    given = {
        "similarity": np.ones((4, 4)),
        "y": [1.0, -1.0],
        "y_unlabelled": [1.0, 1.0],
        "degree": 2,
        "lo": 0.0,
        "hi": 1.0,
    }
    with pytest.raises(BadInput, match=said):
        exact_graph_kernel(**{**given, **change})
