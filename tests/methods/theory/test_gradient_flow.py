import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from sklearn.linear_model import Ridge

from overparam.errors import BadInput
from overparam.methods.theory.gradient_flow import (
    SpectralFit,
    check_step,
    gradient_flow,
    largest_step,
    spectrum_report,
)

RNG = np.random.default_rng(0)
TALL, WIDE = RNG.normal(size=(9, 4)), RNG.normal(size=(4, 9))
shapes = pytest.mark.parametrize("h", [TALL, WIDE], ids=["tall", "wide"])


def task(h, k=2):
    return RNG.normal(size=(len(h), k)), RNG.normal(size=(h.shape[1], k))


@shapes
def test_flow_solves_its_differential_equation(h):
    y, w0 = (v[:, 0] for v in task(h))
    found = gradient_flow(h, y, w0, [0.0, 0.1, 1.0])
    slow = solve_ivp(lambda _, w: h.T @ (y - h @ w), (0, 1), w0, t_eval=[0, 0.1, 1], rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(found, slow.y.T, atol=1e-8)


@shapes
def test_the_end_is_the_solution_nearest_to_the_start(h):
    y, w0 = task(h)
    np.testing.assert_allclose(gradient_flow(h, y, w0, [np.inf])[0], w0 + np.linalg.pinv(h) @ (y - h @ w0), atol=1e-12)


@shapes
def test_small_steps_of_descent_approach_the_flow(h):
    y, w0 = (v[:, 0] for v in task(h))
    gaps = []
    for lr in (1e-3, 5e-4):
        w = w0.copy()
        for _ in range(round(0.3 / lr)):
            w -= lr * h.T @ (h @ w - y)
        gaps.append(np.abs(w - gradient_flow(h, y, w0, [0.3])[0]).max())
    assert gaps[0] / gaps[1] == pytest.approx(2, rel=0.05)  # of first order in the step


@shapes
def test_ridge_is_that_of_scikit_learn(h):
    y, _ = task(h)
    fit = SpectralFit(h, y)
    for k, lam in enumerate((0.1, 3.0)):
        peer = Ridge(alpha=lam, fit_intercept=False).fit(h, y)
        np.testing.assert_allclose(fit.weights(fit.ridge([0.1, 3.0]))[k], peer.coef_.T, atol=1e-10)
    np.testing.assert_allclose(fit.ridge([0.0]), fit.flow([np.inf]), rtol=1e-12)


@shapes
def test_errors_and_predictions_are_those_of_the_weights(h):
    y, w0 = task(h)
    fit, other, target = SpectralFit(h, y, w0), RNG.normal(size=(5, h.shape[1])), RNG.normal(size=w0.shape)
    filters = fit.flow([0.0, 0.4, 30.0, np.inf])
    w = fit.weights(filters)
    np.testing.assert_allclose(fit.training_error(filters), ((h @ w - y) ** 2).mean(1), atol=1e-12)
    np.testing.assert_allclose(fit.distance(target, filters), ((w - target) ** 2).sum(1), atol=1e-11)
    np.testing.assert_allclose(fit.predict(other, filters), other @ w, atol=1e-11)


@shapes
def test_one_target_is_a_column_of_many(h):
    y, w0 = task(h)
    many, one = SpectralFit(h, y, w0), SpectralFit(torch.from_numpy(h), torch.from_numpy(y[:, 1]), w0[:, 1])
    filters = many.flow([0.3, 2.0])
    for name, extra in (("weights", ()), ("training_error", ()), ("predict", (h,))):
        both = [getattr(f, name)(*extra, filters) for f in (one, many)]
        np.testing.assert_allclose(both[0], both[1][..., 1], rtol=1e-12)
    at_zero = one.distance(np.zeros(h.shape[1]), filters)
    np.testing.assert_allclose(at_zero, (one.weights(filters) ** 2).sum(1), rtol=1e-12)


def test_the_null_space_never_moves():
    y, w0 = task(WIDE)
    null = np.linalg.svd(WIDE)[2][4:]
    moved = gradient_flow(WIDE, y, w0, [0.5, 1e6, np.inf]) - w0
    assert np.abs(null @ moved).max() < 1e-12 < np.abs(moved).max()


def test_zero_columns_and_repeated_rows_count_as_frozen():
    h = np.zeros((4, 5))
    h[:, :2] = RNG.normal(size=(4, 2))
    report = spectrum_report(h)
    assert (report.rank, report.frozen_fraction) == (2, 0.6)
    values = np.linalg.svd(h)[1][:2] ** 2
    assert (report.largest, report.smallest_nonzero) == pytest.approx(tuple(values))
    assert spectrum_report(torch.tensor(h)) == report
    assert np.isfinite(gradient_flow(h, np.ones(4), 0, [1e3, np.inf])).all()


def test_rounding_to_single_precision_makes_no_rank():
    h = RNG.normal(size=(40, 5)) @ RNG.normal(size=(5, 30))
    for given in (h, h.astype(np.float32), torch.from_numpy(h).float()):
        assert spectrum_report(given).rank == 5
        assert (SpectralFit(given, np.ones(40)).eigenvalues > 0).sum() == 5


def test_rotations_leave_the_report():
    turn = np.linalg.qr(RNG.normal(size=(9, 9)))[0]
    np.testing.assert_allclose(spectrum_report(WIDE @ turn), spectrum_report(WIDE), rtol=1e-10)


def test_callers_arrays_stay():
    y, w0 = task(WIDE)
    before = [v.copy() for v in (WIDE, y, w0)]
    gradient_flow(WIDE, y, w0, [1.0])
    for a, b in zip(before, (WIDE, y, w0), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_step_above_the_limit_is_named():
    limit = largest_step(TALL)
    check_step(0.99 * limit, limit)
    for lr, says in ((limit, "gradient descent diverges"), (0.0, "lr=0.0 is no step"), (float("nan"), "lr=nan")):
        with pytest.raises(BadInput, match=says):
            check_step(lr, limit)
    w = np.ones(4)
    for _ in range(2000):
        w -= 1.01 * limit * TALL.T @ (TALL @ w)
    assert np.abs(w).max() > 1e6


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"features": np.ones(3)}, "features have shape"),
        ({"features": np.full((4, 9), np.nan)}, "features hold NaN"),
        ({"targets": np.ones(5)}, r"targets has shape \(5,\)"),
        ({"targets": np.full(4, np.inf)}, "targets holds NaN or infinity"),
        ({"w0": np.ones(8)}, r"w0 has shape \(8,\)"),
        ({"w0": np.ones((9, 3))}, "w0 has 3 columns and targets 1"),
        ({"t": [1.0, -1.0]}, "from -1.0: pass a vector of times"),
    ],
)
def test_arguments_are_checked(given, says):
    with pytest.raises(BadInput, match=says):
        gradient_flow(**{"features": WIDE, "targets": np.ones(4), "w0": np.zeros(9), "t": [1.0], **given})


def test_the_other_arguments_are_checked():
    fit = SpectralFit(WIDE, np.ones(4))
    with pytest.raises(BadInput, match=r"penalty of shape \(1,\) from -1.0"):
        fit.ridge(-1.0)
    with pytest.raises(BadInput, match="features have 4 columns; the fit has 9"):
        fit.predict(TALL, fit.flow(1.0))
    with pytest.raises(BadInput, match=r"target has shape \(4,\)"):
        fit.distance(np.ones(4), fit.flow(1.0))
    for call in (spectrum_report, largest_step):
        with pytest.raises(BadInput, match="are all zero"):
            call(np.zeros((2, 3)))
