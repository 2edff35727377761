import numpy as np
import pytest

from overparam.errors import BadInput
from overparam.methods.tuning.smooth_dual import ridge_objective, smooth_maximum

RNG = np.random.default_rng(0)
R, S, Y = RNG.standard_normal((12, 4)), RNG.standard_normal((12, 4)), RNG.standard_normal(12)


def test_the_objective_is_the_minimum_over_weights():
    value = ridge_objective(R, S, Y, ridge=0.3)(np.array([0.0, 0.4, 1.0]))
    for found, alpha in zip(value, (0.0, 0.4, 1.0), strict=True):
        features = alpha * R + (1 - alpha) * S
        w = np.linalg.solve(features.T @ features + 0.3 * np.eye(4), features.T @ Y)
        assert found == pytest.approx(-((features @ w - Y) ** 2).sum() - 0.3 * (w**2).sum())


def test_all_local_maxima_are_found():
    best, local = smooth_maximum(lambda a: np.cos(20 * a) - a, 0.0, 2.0)
    wanted = (np.arange(1, 7) * 2 * np.pi - np.arcsin(1 / 20)) / 20
    np.testing.assert_allclose(local, wanted[wanted < 2], atol=1e-8)
    assert best.alpha == 0.0  # the end
    assert best.value == pytest.approx(1.0)


def test_the_maximum_is_not_below_a_grid():
    value = ridge_objective(R, S, Y, ridge=0.3)
    best, _ = smooth_maximum(value, 0.0, 1.0)
    assert best.value >= value(np.linspace(0, 1, 5_001)).max() - 1e-10


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: smooth_maximum(lambda a: np.abs(a - 0.3), 0.0, 1.0), "is not smooth"),
        (lambda: smooth_maximum(lambda a: np.full(len(a), np.nan), 0.0, 1.0), "not finite"),
        (lambda: smooth_maximum(np.sin, 1.0, 1.0), "lo < hi"),
        (lambda: ridge_objective(R, S[:, :2], Y, ridge=1.0), "twice"),
        (lambda: ridge_objective(R, S, Y, ridge=0.0), "ridge=0"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(BadInput, match=said):
        call()
