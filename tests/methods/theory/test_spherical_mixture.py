import numpy as np
import pytest
from scipy.stats import multivariate_normal

from overparam.errors import BadInput
from overparam.methods.theory.spherical_mixture import SphericalGMM


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((3, 4)) * 4
    z = rng.integers(3, size=600)
    return centres, z, centres[z] + rng.standard_normal((600, 4))


def test_centres_and_likelihood(sample):
    centres, _, x = sample
    found = SphericalGMM(3).fit(x)
    gaps = np.linalg.norm(found.centres_[:, None] - centres, axis=2).min(0)
    assert (gaps < 0.3).all()
    density = np.mean([multivariate_normal(c, np.eye(4)).pdf(x) for c in found.centres_], axis=0)
    assert found.log_likelihood(x) == pytest.approx(np.log(density).mean())
    truth = SphericalGMM(3)
    truth.centres_ = centres
    assert found.log_likelihood_ >= truth.log_likelihood(x)
    assert found.converged_
    assert max(found.likelihoods_) == found.log_likelihood_


def test_the_centres_are_a_fixed_point(sample):
    _, _, x = sample
    found = SphericalGMM(3, tol=1e-12).fit(x)
    share = found.transform(x)
    np.testing.assert_allclose(share.sum(1), 1)
    np.testing.assert_allclose(share.T @ x / share.sum(0)[:, None], found.centres_, atol=1e-4)


def test_likelihood_never_falls_with_more_iterations(sample):
    _, _, x = sample
    values = [SphericalGMM(3, n_init=1, max_iter=k, tol=1e-15).fit(x).log_likelihood_ for k in range(1, 8)]
    assert (np.diff(values) >= -1e-12).all()
    assert not SphericalGMM(3, n_init=1, max_iter=1).fit(x).converged_


def test_one_component_is_the_mean(sample):
    _, _, x = sample
    np.testing.assert_allclose(SphericalGMM(1).fit(x).centres_[0], x.mean(0))


def test_variance_is_a_change_of_units(sample):
    _, _, x = sample
    plain, wide = SphericalGMM(3).fit(x), SphericalGMM(3, variance=9.0).fit(3 * x)
    np.testing.assert_allclose(plain.transform(x), wide.transform(3 * x), atol=1e-8)


@pytest.mark.parametrize(
    ("model", "x", "said"),
    [
        (SphericalGMM(5), np.ones((3, 2)), r"n_components=5 is outside 1\.\.3"),
        (SphericalGMM(1, n_init=0), np.ones((3, 2)), "n_init=0"),
        (SphericalGMM(1, variance=-1.0), np.ones((3, 2)), "variance=-1"),
        (SphericalGMM(1), np.array([[np.nan]]), "finite"),
        (SphericalGMM(1), np.ones(3), "a matrix"),
    ],
)
def test_bad_input_is_named(model, x, said):
    with pytest.raises(BadInput, match=said):
        model.fit(x)
