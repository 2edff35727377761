import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.utils.estimator_checks import check_estimator

from overparam.errors import BadInput
from overparam.methods.theory.kernels import arccos_nngp
from overparam.methods.theory.random_feature_ridge import RandomFeatureRidge, relu_features
from overparam.methods.theory.ridge_path import feature_ridge_path, kernel_ridge_path

RNG = np.random.default_rng(0)
X, Z = RNG.standard_normal((40, 6)), RNG.standard_normal((25, 6))
Y, W = RNG.standard_normal((40, 3)), RNG.standard_normal((25, 3))
RIDGES = np.array([1e-3, 0.1, 5.0])


def test_a_path_is_scikit_learns_ridge_for_every_ridge():
    K, across = arccos_nngp(X, X), arccos_nngp(Z, X)
    path = kernel_ridge_path(K, Y, across, W, RIDGES)
    for i, ridge in enumerate(RIDGES):
        model = KernelRidge(alpha=ridge, kernel="precomputed").fit(K, Y)
        assert path.train[i] == pytest.approx(((model.predict(K) - Y) ** 2).sum(1).mean())
        np.testing.assert_allclose(path.test_by_output[i], ((model.predict(across) - W) ** 2).mean(0))
    assert (np.diff(path.train) > 0).all()


@pytest.mark.parametrize("k", [10, 40, 200])
def test_features_and_their_kernel_give_one_path(k):
    weights = RNG.standard_normal((k, 6))
    psi, others = relu_features(X, weights), relu_features(Z, weights)
    path = feature_ridge_path(psi, Y, others, W, RIDGES)
    kernel = kernel_ridge_path(psi @ psi.T / k, Y, others @ psi.T / k, W, RIDGES)
    np.testing.assert_allclose(path.train_by_output, kernel.train_by_output, rtol=1e-7)
    np.testing.assert_allclose(path.test_by_output, kernel.test_by_output, rtol=1e-7)


@pytest.mark.parametrize("k", [10, 200])
def test_no_ridge_is_the_solution_of_least_norm(k):
    weights = RNG.standard_normal((k, 6))
    psi, others = relu_features(X, weights), relu_features(Z, weights)
    path = feature_ridge_path(psi, Y, others, W, 0.0)
    least = np.linalg.lstsq(psi, Y, rcond=None)[0]
    assert path.train[0] == pytest.approx(((psi @ least - Y) ** 2).sum(1).mean(), abs=1e-12)
    assert path.test[0] == pytest.approx(((others @ least - W) ** 2).sum(1).mean())
    twice = kernel_ridge_path(np.ones((2, 2)), [1.0, 3.0], np.ones((1, 2)), [0.0], 0.0)
    assert (twice.train[0], twice.test[0]) == pytest.approx((1.0, 4.0))


def test_bad_shapes_and_ridges_are_named():
    K = arccos_nngp(X, X)
    with pytest.raises(BadInput, match="do not fit 40 training and 25 test labels"):
        kernel_ridge_path(K, Y, K, W, RIDGES)
    with pytest.raises(BadInput, match="do not fit 40 and 25 labels"):
        feature_ridge_path(X, Y, Z[:3], W, RIDGES)
    for ridge in (-1.0, np.nan, np.inf):
        with pytest.raises(BadInput, match="ridges holds"):
            feature_ridge_path(X, Y, Z, W, [0.1, ridge])


@pytest.mark.parametrize("activation", ["relu", "linear"])
@pytest.mark.parametrize("k", [10, 300])
@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_the_estimator_is_the_formula(activation, k, ridge):
    model = RandomFeatureRidge(k, activation=activation, ridge=ridge, random_state=1).fit(X, Y)
    psi, others = (a @ model.weights_.T / np.sqrt(6) for a in (X, Z))
    if activation == "relu":
        psi, others = np.maximum(psi, 0), np.maximum(others, 0)
    inverse = np.linalg.pinv(psi @ psi.T / k + ridge * np.eye(40), rcond=1e-10)
    np.testing.assert_allclose(model.predict(Z), others @ psi.T / k @ inverse @ Y, rtol=1e-5, atol=1e-7)
    assert model.predict(Z).shape == (25, 3)
    assert RandomFeatureRidge(k, ridge=ridge).fit(X, Y[:, 0]).predict(Z).shape == (25,)


def test_many_features_approach_the_kernel_with_the_same_ridge():
    wide = RandomFeatureRidge(60_000, ridge=0.5).fit(X, Y).predict(Z)
    kernel = arccos_nngp(Z, X) @ np.linalg.solve(arccos_nngp(X, X) + 0.5 * np.eye(40), Y)
    np.testing.assert_allclose(wide, kernel, atol=0.03)


def test_seeds_repeat():
    one, two, other = (RandomFeatureRidge(20, random_state=s).fit(X, Y).predict(Z) for s in (0, 0, 1))
    np.testing.assert_array_equal(one, two)
    assert not np.allclose(one, other)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learn_accepts_the_estimator():
    check_estimator(RandomFeatureRidge(n_features=20))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_features": 0}, "n_features=0"),
        ({"ridge": -1.0}, "ridge=-1.0"),
        ({"ridge": float("nan")}, "ridge=nan"),
        ({"activation": "sine"}, "activation='sine'"),
    ],
)
def test_bad_settings_are_named(arguments, message):
    with pytest.raises(BadInput, match=message):
        RandomFeatureRidge(**arguments).fit(X, Y)
