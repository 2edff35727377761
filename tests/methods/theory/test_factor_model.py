import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA

from overparam.errors import BadInput
from overparam.methods.theory.factor_model import FactorMLE, FactorModel, choose_rank


def world(d=8, r=2, noise=0.5, seed=0):
    rng = np.random.default_rng(seed)
    return FactorModel(rng.standard_normal((d, r)) * 1.5, rng.standard_normal(r), noise=noise)


def regress(basis, x, y):
    return basis @ np.linalg.lstsq(x @ basis, y, rcond=None)[0]


def test_closed_forms_are_those_of_a_large_sample():
    model = world()
    x, y = model.sample(400_000, np.random.default_rng(1))
    assert ((y - x @ model.weight) ** 2).mean() == pytest.approx(model.bayes_risk, rel=0.01)
    other = model.weight + 0.2
    gap = ((y - x @ other) ** 2).mean() - ((y - x @ model.weight) ** 2).mean()
    assert gap == pytest.approx(float(model.excess(other)), rel=0.02)
    np.testing.assert_allclose(x.T @ x / len(x), model.covariance, atol=0.08)


def test_excess_is_never_negative_and_zero_only_at_the_best_weight():
    model = world()
    assert model.excess(model.weight) == 0
    assert (model.excess(model.weight + np.random.default_rng(0).standard_normal((50, 8))) > 0).all()


def test_nothing_is_lost_in_the_span_of_the_factors_and_everything_outside():
    model = FactorModel(np.eye(6)[:, :2] * 2, [1.0, -1.0], noise=0.1)
    assert model.floor(np.eye(6)[:, :2]) == pytest.approx(0, abs=1e-12)
    assert model.floor(np.eye(6)[:, 3:]) == pytest.approx(float(model.excess(np.zeros(6))))
    assert model.floor(np.eye(6)[:, :1]) == pytest.approx(float(model.floor(np.eye(6)[:, 1:2])))


@pytest.mark.parametrize("m", [5, 40])
def test_covariances_drawn_without_inputs_have_the_right_mean_and_spread(m):
    model, rng = world(d=6), np.random.default_rng(0)
    draws = np.stack([model.sample_covariance(m, rng) for _ in range(3_000)])
    np.testing.assert_allclose(draws.mean(0), model.covariance, atol=0.35 * (5 / m) ** 0.5 + 0.1)
    s = model.covariance
    variance = (s**2 + np.outer(np.diag(s), np.diag(s))) / m  # of a Wishart matrix
    np.testing.assert_allclose(draws.var(0), variance, rtol=0.25)


def test_maximum_likelihood_beats_every_neighbour():
    x, _ = world().sample(300, np.random.default_rng(0))
    fitted = FactorMLE(2).fit(x)
    best = fitted.log_likelihood(x)
    rng = np.random.default_rng(1)
    for _ in range(20):
        loadings = fitted.loadings_ + 0.05 * rng.standard_normal(fitted.loadings_.shape)
        other = multivariate_normal(np.zeros(8), loadings @ loadings.T + np.eye(8)).logpdf(x).mean()
        assert other < best
    dense = multivariate_normal(np.zeros(8), fitted.loadings_ @ fitted.loadings_.T + np.eye(8)).logpdf(x).mean()
    assert dense == pytest.approx(best)


def test_isotropic_noise_is_probabilistic_pca():
    x, _ = world().sample(500, np.random.default_rng(0))
    x -= x.mean(0)
    fitted = FactorMLE(2, "isotropic").fit(x)
    pca = PCA(2, svd_solver="covariance_eigh").fit(x)
    unbiased = len(x) / (len(x) - 1)
    assert fitted.noise_var_ * unbiased == pytest.approx(pca.noise_variance_)
    np.testing.assert_allclose(
        fitted.loadings_ @ fitted.loadings_.T * unbiased + np.eye(8) * pca.noise_variance_, pca.get_covariance()
    )


def test_features_are_the_posterior_mean():
    x, _ = world().sample(200, np.random.default_rng(0))
    fitted = FactorMLE(2).fit(x)
    b = fitted.loadings_
    np.testing.assert_allclose(fitted.transform(x), np.linalg.solve(np.eye(2) + b.T @ b, b.T @ x.T).T)


def test_two_phase_weights_do_not_depend_on_the_axes_of_inputs():
    model, rng = world(), np.random.default_rng(0)
    unlabelled, _ = model.sample(300, rng)
    x, y = model.sample(30, rng)
    turn = np.linalg.qr(rng.standard_normal((8, 8)))[0]
    plain = regress(FactorMLE(2).fit(unlabelled).basis_, x, y)
    turned = regress(FactorMLE(2).fit(unlabelled @ turn.T).basis_, x @ turn.T, y)
    np.testing.assert_allclose(turn @ plain, turned, atol=1e-10)


def test_as_many_factors_as_inputs_is_plain_least_squares():
    model, rng = world(d=4, r=2), np.random.default_rng(0)
    unlabelled, x_y = model.sample(500, rng)[0] * 2, model.sample(30, rng)
    fitted = FactorMLE(4).fit(unlabelled)
    assert fitted.eigenvalues_.min() > 1
    z = fitted.transform(x_y[0])
    b = np.linalg.lstsq(z, x_y[1], rcond=None)[0]
    plain = np.linalg.lstsq(*x_y, rcond=None)[0]
    np.testing.assert_allclose(z @ b, x_y[0] @ plain)


def test_one_factor_too_few_leaves_a_floor_and_two_too_many_cost_little():
    model, rng = FactorModel(np.eye(20)[:, :3] * [4, 3, 2], [0.6, 0.6, 0.5], noise=0.3), np.random.default_rng(0)
    x, y = model.sample(4_000, rng)
    covariance = model.sample_covariance(100_000, rng)
    excess = {r: float(model.excess(regress(FactorMLE(r).fit_covariance(covariance).basis_, x, y))) for r in (2, 3, 5)}
    assert excess[2] > 0.05
    assert excess[3] < 0.001
    assert excess[5] < 0.002


def test_eigenvalues_below_the_noise_give_no_factor():
    fitted = FactorMLE(3).fit_covariance(np.diag([5.0, 0.9, 0.5]))
    assert np.count_nonzero(fitted.loadings_) == 1
    assert np.isfinite(fitted.transform(np.ones((1, 3)))).all()


def test_held_out_likelihood_finds_the_number_of_factors():
    x, _ = FactorModel(np.eye(10)[:, :3] * 3, [1.0, 1.0, 1.0], noise=1.0).sample(500, np.random.default_rng(0))
    assert choose_rank(x, range(1, 7)) == 3
    assert choose_rank(x, [1, 2]) == 2


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: FactorModel(np.ones((2, 3)), np.ones(3), noise=1), "rank 3 exceeds the 2 inputs"),
        (lambda: FactorModel([[np.nan]], [1.0], noise=1), "not finite"),
        (lambda: FactorModel([[1.0]], [1.0, 2.0], noise=1), "need 1 finite values"),
        (lambda: FactorModel([[1.0]], [1.0], noise=-1), "noise=-1"),
        (lambda: FactorModel([1.0], [1.0], noise=1), "a matrix with at least one entry"),
        (lambda: world().excess(np.ones(3)), "last axis needs 8"),
        (lambda: world().sample(0, np.random.default_rng(0)), "n=0"),
        (lambda: FactorMLE(9).fit(np.ones((20, 8))), r"rank=9 is outside 1\.\.8"),
        (lambda: FactorMLE(8, "isotropic").fit(np.ones((20, 8))), r"rank=8 is outside 1\.\.7"),
        (lambda: FactorMLE(2).fit(np.ones((2, 8))), "a matrix of at least 3 rows"),
        (lambda: FactorMLE(1, "pink").fit(np.ones((3, 2))), "noise='pink'"),
        (lambda: FactorMLE(1).fit_covariance(np.ones((2, 3))), "a square matrix"),
        (lambda: FactorMLE(1).fit_covariance(np.eye(2)).transform(np.ones((1, 3))), "2 were fitted"),
        (lambda: choose_rank(np.ones((3, 2)), [1]), "5 folds, 3 rows"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(BadInput, match=said):
        call()
