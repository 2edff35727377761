import numpy as np
import pytest

from overparam.errors import BadInput
from overparam.methods.theory.eigenstructure import eigenstructure, estimate_exponents
from overparam.methods.theory.random_features import rf_risk, unseen_risk
from overparam.methods.theory.regression_plan import measure, predict
from overparam.methods.theory.ridge_path import kernel_ridge_path


def task(n=120, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 5))
    K = np.exp(-((x[:, None] - x) ** 2).sum(2) / 10) + 1e-6 * np.eye(n)
    return K, np.stack([np.sin(x[:, 0]), x[:, 1] * x[:, 2]], axis=1), rng


def test_the_parts_put_the_kernel_and_the_labels_together_again():
    K, Y, _ = task()
    lam, v = eigenstructure(K, Y)
    values, vectors = np.linalg.eigh(K)
    phi = vectors[:, ::-1] * np.sqrt(len(K))
    np.testing.assert_allclose(lam, values[::-1] / len(K), atol=1e-12)
    np.testing.assert_allclose(np.abs(v), np.abs(phi.T @ Y / len(K)), atol=1e-10)
    assert (v**2).sum() == pytest.approx((Y**2).sum(1).mean())
    assert eigenstructure(K, Y[:, 0])[1].shape == (120, 1)


def test_order_of_points_and_rounding_do_not_matter():
    K, Y, rng = task()
    order = rng.permutation(len(K))
    lam, v = eigenstructure(K, Y)
    again, w = eigenstructure(K[np.ix_(order, order)], Y[order])
    np.testing.assert_allclose(again, lam, atol=1e-12)
    np.testing.assert_allclose(w**2, v**2, atol=1e-8)
    low = np.outer(Y[:, 0], Y[:, 0])
    assert eigenstructure(low, Y)[0].min() == 0  # tiny negative ones are rounding


def test_cumulative_sums_are_the_regressions_they_stand_for():
    K, Y, _ = task()
    sizes = [10, 30, 60]
    _, _, fits = estimate_exponents(K, Y, sizes, np.random.default_rng(3), trials=1)
    order = np.random.default_rng(3).permutation(len(K))
    rest = order[60:]
    for i, n in enumerate(sizes):
        train = order[:n]
        own = K[np.ix_(train, train)]
        assert fits.kappa[i] == pytest.approx(1 / np.trace(np.linalg.inv(own)), rel=1e-6)
        fit = K[np.ix_(rest, train)] @ np.linalg.solve(own, Y[train])
        assert fits.test[i] == pytest.approx(((fit - Y[rest]) ** 2).sum(1).mean(), rel=1e-6)


@pytest.mark.slow
def test_exponents_of_a_power_law_are_found():
    alpha, beta, points, modes = 1.5, 1.8, 700, 6000
    index = np.arange(1, modes + 1, dtype=float)
    phi = np.random.default_rng(0).standard_normal((points, modes))
    K, y = (phi * index**-alpha) @ phi.T, phi @ index ** (-beta / 2)
    a, b, fits = estimate_exponents(K, y, [50, 100, 200, 400], np.random.default_rng(1), trials=5)
    assert a == pytest.approx(alpha, abs=0.1)
    assert b == pytest.approx(beta, abs=0.15)
    assert fits.alpha.low < a < fits.alpha.high
    assert min(fits.r2) > 0.98
    again = estimate_exponents(K, y, [50, 100, 200, 400], np.random.default_rng(1), trials=5)
    assert again[:2] == (a, b)


@pytest.mark.slow
def test_the_spectrum_of_a_pool_predicts_regressions_on_it():
    rng, index = np.random.default_rng(0), np.arange(1, 2001, dtype=float)
    phi = rng.standard_normal((600, 2000))
    K, y = (phi * index**-1.5) @ phi.T, phi @ index**-0.9
    lam, v = eigenstructure(K, y)
    ridges = [1e-3, 0.1, 1.0]
    found = rf_risk(lam, (v**2).sum(1), 60, np.inf, ridges)
    measured = measure(K, y, 60, ridges, np.random.default_rng(0), splits=40)
    np.testing.assert_allclose(measured, unseen_risk(found.test, found.train, 60, 600), rtol=0.04)


def test_no_kernels_and_other_bad_input_are_named():
    K, Y, rng = task(20)
    with pytest.raises(BadInput, match="square"):
        eigenstructure(K[:, :5], Y)
    with pytest.raises(BadInput, match="differs from its transpose"):
        eigenstructure(K + np.triu(np.ones((20, 20)), 1), Y)
    with pytest.raises(BadInput, match="eigenvalue -"):
        eigenstructure(K - 0.5 * np.eye(20), Y)
    with pytest.raises(BadInput, match="eigenvalue"):
        eigenstructure(np.zeros((20, 20)), Y)
    with pytest.raises(BadInput, match="one row of labels a point"):
        eigenstructure(K, Y[:5])
    with pytest.raises(BadInput, match="Y has numbers that are not finite"):
        eigenstructure(K, np.full(20, np.nan))
    for sizes in ([2, 4], [2, 4, 20], [0, 4, 8]):
        with pytest.raises(BadInput, match="do not fit 20 points"):
            estimate_exponents(K, Y, sizes, rng)
    with pytest.raises(BadInput, match="trials=0"):
        estimate_exponents(K, Y, [2, 4, 8], rng, trials=0)
    with pytest.raises(BadInput, match="singular"):
        estimate_exponents(np.ones((20, 20)), Y, [2, 4, 8], rng)


def test_predictions_are_those_of_the_theory():
    lam = np.arange(1, 101) ** -1.5
    few, kernel = predict(lam, lam, 30, [10, np.inf], noise_var=0.1)
    for p in (few, kernel):
        found = rf_risk(lam, lam, 30, p.features, p.ridge, 0.1)
        assert (p.test, p.train) == (found.test, found.train)
        assert p.fitting_ratio == p.train / p.test
    (pooled,) = predict(lam, lam, 30, [np.inf], ridge=0.1, pool=100)
    found = rf_risk(lam, lam, 30, np.inf, 0.1)
    assert pooled.test == unseen_risk(found.test, found.train, 30, 100)
    (nothing,) = predict(lam, 0 * lam, 30, [np.inf], noise_var=0.3)
    assert (nothing.ridge, nothing.test, nothing.fitting_ratio) == (np.inf, 0.3, 1.0)


def test_measuring_is_regression_on_random_splits():
    K, Y, _ = task(40)
    order = np.random.default_rng(5).permutation(40)
    train, test = order[:10], order[10:]
    path = kernel_ridge_path(K[np.ix_(train, train)], Y[train], K[np.ix_(test, train)], Y[test], [0.1])
    np.testing.assert_allclose(measure(K, Y, 10, [0.1], np.random.default_rng(5), splits=1), path.test)
    for n, splits in ((0, 1), (40, 1), (5, 0)):
        with pytest.raises(BadInput, match="at least once"):
            measure(K, Y, n, [0.1], np.random.default_rng(0), splits=splits)
