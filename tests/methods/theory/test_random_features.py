import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from overparam.errors import BadInput
from overparam.methods.theory.effective_ridge import rf_solve
from overparam.methods.theory.random_features import optimal_ridge, rf_risk, sufficient_features, unseen_risk

INDEX = np.arange(1, 401, dtype=float)
LAM, V2 = INDEX**-1.5, INDEX**-1.8
SIZES = st.sampled_from([5.0, 40.0, 100.0, 399.0, 400.0, 900.0])


def as_printed(lam, v2, n, k, ridge, noise):
    """Train and test error by the paper's own formulas, cancellation and all."""
    kappa, gamma = rf_solve(lam, n, k, ridge)
    L = lam / (lam + gamma)
    z, q = L.sum(), (L**2).sum()
    modes = (1 - L - kappa * lam / (lam + gamma) ** 2 * k / (k - q)) @ v2
    test = (modes + noise) / (1 - (q * (k - 2 * z) + z**2) / (n * (k - q)))
    return test, (ridge / (n * kappa)) ** 2 * test


@settings(max_examples=60, deadline=None)
@given(n=SIZES, k=SIZES, log_ridge=st.floats(-8, 4))
def test_both_equations_hold(n, k, log_ridge):
    ridge = 10**log_ridge
    kappa, gamma = rf_solve(LAM, n, k, ridge)
    z = (LAM / (LAM + gamma)).sum()
    assert z + ridge / kappa == pytest.approx(n, rel=1e-9)
    assert z + k * kappa / gamma == pytest.approx(k, rel=1e-9)
    assert kappa <= gamma
    assert ridge / (n * kappa) <= 1 + 1e-12


@settings(max_examples=60, deadline=None)
@given(n=SIZES, k=SIZES, log_ridge=st.floats(-4, 3), noise=st.sampled_from([0.0, 0.3]))
def test_errors_are_those_of_the_printed_formulas(n, k, log_ridge, noise):
    found = rf_risk(LAM, V2, n, k, 10**log_ridge, noise)
    test, train = as_printed(LAM, V2, n, k, 10**log_ridge, noise)
    assert found.test == pytest.approx(test, rel=1e-6)
    assert found.train == pytest.approx(train, rel=1e-6)
    assert found.train <= found.test
    assert found.overfit_coeff >= 1


def test_settings_broadcast_in_any_shape_and_pieces():
    n, k, ridge = np.array([[20.0], [80.0]]), np.array([10.0, 50.0, np.inf]), 0.1
    found = rf_risk(LAM, V2, n, k, ridge, 0.1)
    assert found.test.shape == (2, 3)
    for i in range(2):
        for j in range(3):
            alone = rf_risk(LAM, V2, n[i, 0], k[j], ridge, 0.1)
            for name in ("test", "train", "kappa", "gamma", "overfit_coeff"):
                assert getattr(found, name)[i, j] == pytest.approx(getattr(alone, name), rel=1e-9)


def test_a_long_sweep_is_cut_into_pieces(monkeypatch):
    whole = rf_risk(LAM, V2, np.arange(1, 50), 30, 0.01)
    for module in ("random_features", "effective_ridge"):
        monkeypatch.setattr(f"overparam.methods.theory.{module}.CHUNK", 1000)
    np.testing.assert_allclose(rf_risk(LAM, V2, np.arange(1, 50), 30, 0.01).test, whole.test, rtol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 60), st.integers(1, 59), st.floats(0, 2))
def test_equal_eigenvalues_without_ridge(modes, n, noise):
    n = min(n, modes - 1)
    v2 = np.linspace(1, 2, modes)
    found = rf_risk(np.ones(modes), v2, n, np.inf, 0.0, noise)
    expected = modes / (modes - n) * (v2.sum() * (1 - n / modes) ** 2 + noise)
    assert found.test == pytest.approx(expected, rel=1e-9)
    assert found.train == 0


def test_linear_regression_above_the_number_of_modes():
    lam, v2 = np.array([3.0, 1.0, 0.2, 0.0]), np.array([1.0, 1.0, 1.0, 0.5])
    for k in (np.inf, 7.0):
        found = rf_risk(lam, v2, 10, k, 0.0, 0.2)
        assert found.kappa == 0
        assert found.test == pytest.approx(10 / 7 * (0.2 + 0.5))  # the mode without eigenvalue acts as noise
        assert found.train == pytest.approx((7 / 10) ** 2 * found.test)
    assert rf_risk(lam, v2, 3, np.inf, 0.0, 0.2).test == np.inf
    assert rf_risk(lam[:3], v2[:3], 3, np.inf, 0.0, 0.0).test == 0


@pytest.mark.parametrize(("n", "k"), [(30, 200), (200, 30), (100, 390), (900, 50), (500, 700), (60, np.inf)])
def test_no_ridge_is_the_limit_of_small_ones(n, k):
    zero, small = rf_risk(LAM, V2, n, k, 0.0, 0.1), rf_risk(LAM, V2, n, k, 1e-10, 0.1)
    assert zero.test == pytest.approx(small.test, rel=1e-4)
    assert zero.train == pytest.approx(small.train, rel=1e-4, abs=1e-12)


def test_as_many_features_as_samples_diverge_without_ridge_only():
    assert rf_risk(LAM, V2, 50, 50, 0.0).test == np.inf
    around = rf_risk(LAM, V2, 50, [10, 50, 250], 1e-8).test
    assert around[1] > 100 * max(around[0], around[2])
    swapped = rf_risk(LAM, V2, [10, 50, 250], 50, 1e-8).test
    assert swapped[1] > 100 * max(swapped[0], swapped[2])


def test_many_features_are_the_kernel_and_units_do_not_matter():
    one = rf_risk(LAM, V2, 50, 1e9, 0.1, 0.2)
    kernel = rf_risk(LAM, V2, 50, np.inf, 0.1, 0.2)
    scaled = rf_risk(7 * LAM, V2, 50, np.inf, 0.7, 0.2)
    assert one.test == pytest.approx(kernel.test, rel=1e-6)
    assert kernel.kappa == kernel.gamma
    assert scaled.test == pytest.approx(kernel.test, rel=1e-9)
    assert scaled.gamma == pytest.approx(7 * kernel.gamma, rel=1e-9)


def test_unsorted_spectra_are_sorted_with_a_warning():
    order = np.random.default_rng(0).permutation(len(LAM))
    with pytest.warns(UserWarning, match="does not descend"):
        mixed = rf_risk(LAM[order], V2[order], 50, 40, 0.1)
    assert mixed.test == rf_risk(LAM, V2, 50, 40, 0.1).test


def dense_best(n, k, noise):
    ridges = np.append(0.0, np.geomspace(1e-9, 1e4, 1200))
    risks = rf_risk(LAM, V2, n, k, ridges, noise).test
    return ridges[risks.argmin()], risks.min()


@pytest.mark.parametrize("noise", [0.0, 0.01, 1.0, 100.0])
@pytest.mark.parametrize(("n", "k"), [(30, np.inf), (100, 100), (300, 50), (900, np.inf), (900, 2000)])
def test_the_best_ridge_is_that_of_a_dense_grid(n, k, noise):
    best = optimal_ridge(LAM, V2, n, k, noise)
    ridge, risk = dense_best(n, k, noise)
    assert best.risk <= risk * (1 + 1e-12)
    assert best.risk == pytest.approx(risk, rel=1e-4)
    assert (best.ridge == 0) == (ridge == 0)
    if best.ridge > 0:
        assert rf_risk(LAM, V2, n, k, best.ridge, noise).test == pytest.approx(best.risk, rel=1e-7)


def test_equal_eigenvalues_have_a_known_best_ridge():
    best = optimal_ridge(np.ones(30), np.full(30, 0.5), [10, 40], np.inf, 0.2)
    np.testing.assert_allclose(best.ridge, 30 * 0.2 / 15, rtol=1e-4)
    assert optimal_ridge(np.ones(30), np.zeros(30), 10, np.inf, 0.2).ridge == np.inf
    assert optimal_ridge(np.ones(30), np.zeros(30), 10, np.inf, 0.2).risk == 0.2


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_more_features_and_more_samples_never_hurt_a_tuned_ridge(noise):
    counts = np.array([3.0, 10.0, 30.0, 100.0, 399.0, 401.0, 1000.0, np.inf])
    by_width = optimal_ridge(LAM, V2, 60, counts, noise).risk
    by_samples = optimal_ridge(LAM, V2, counts[:-1], 60, noise).risk
    assert np.diff(by_width).max() < 1e-9
    assert np.diff(by_samples).max() < 1e-9


@pytest.mark.parametrize("pool", [None, 400])
def test_the_smallest_sufficient_width(pool):
    k = sufficient_features(LAM, V2, 60, 0.05, 0.1, pool=pool)
    best = optimal_ridge(LAM, V2, 60, [k - 1, k, np.inf], 0.1, pool=pool).risk
    assert best[1] <= 1.05 * best[2] < best[0]


def test_the_pool_correction_takes_out_the_training_points():
    found = rf_risk(LAM, V2, 100, np.inf, 0.1)
    unseen = unseen_risk(found.test, found.train, 100, 400)
    assert (100 * found.train + 300 * unseen) / 400 == pytest.approx(found.test)
    best = optimal_ridge(LAM, V2, 100, np.inf, 0.05, pool=400)
    ridges = np.geomspace(1e-6, 10, 2000)
    path = rf_risk(LAM, V2, 100, np.inf, ridges, 0.05)
    assert best.risk == pytest.approx(unseen_risk(path.test, path.train, 100, 400).min(), rel=1e-5)


def test_an_independent_root_gives_the_same_gamma():
    n, k, ridge = 70.0, 120.0, 0.03
    z = lambda g: (LAM / (LAM + g)).sum()  # noqa: E731
    low = brentq(lambda g: z(g) - n, 1e-12, 10)
    gamma = brentq(lambda g: (n - z(g)) * (1 - z(g) / k) * g - ridge, low, 10, xtol=1e-16)
    assert rf_solve(LAM, n, k, ridge)[1] == pytest.approx(gamma, rel=1e-10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, -0.1], [1.0, 1.0], 5, 5, 0.1), r"eigvals\[1\]=-0.1"),
        (([1.0, np.nan], [1.0, 1.0], 5, 5, 0.1), r"eigvals\[1\]=nan"),
        (([0.0, 0.0], [1.0, 1.0], 5, 5, 0.1), "no positive value"),
        (([1.0, 0.5], [1.0], 5, 5, 0.1), "two vectors of one length"),
        (([1.0, 0.5], [1.0, -1.0], 5, 5, 0.1), r"coeffs2\[1\]=-1"),
        (([1.0, 0.5], [1.0, 1.0], 0, 5, 0.1), "n=0 is not allowed"),
        (([1.0, 0.5], [1.0, 1.0], np.inf, 5, 0.1), "n=inf is not allowed"),
        (([1.0, 0.5], [1.0, 1.0], 5, -2, 0.1), "k=-2 is not allowed"),
        (([1.0, 0.5], [1.0, 1.0], 5, 5, -1e-3), "ridge=-0.001 is not allowed"),
        (([1.0, 0.5], [1.0, 1.0], 5, 5, np.nan), "ridge=nan is not allowed"),
        (([1.0, 0.5], [1.0, 1.0], 5, 5, 0.1, -1.0), "noise_var=-1.0 is no variance"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(BadInput, match=message):
        rf_risk(*arguments)


def test_bad_tolerance_and_pool_are_named():
    with pytest.raises(BadInput, match="tolerance=0"):
        sufficient_features(LAM, V2, 10, 0)
    with pytest.raises(BadInput, match="n=400 leaves none"):
        unseen_risk(1.0, 0.1, 400, 400)
    with pytest.raises(BadInput, match="n=500 leaves none"):
        optimal_ridge(LAM, V2, 500, np.inf, pool=400)
