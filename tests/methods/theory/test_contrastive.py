import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.special import expit

from overparam.errors import BadInput
from overparam.methods.theory.contrastive import ContrastiveMLE, contrastive_loss


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(0)
    theta = np.linalg.qr(rng.standard_normal((6, 2)))[0].T * 2
    x, x2 = rng.standard_normal((2, 6_000, 6))
    t = (rng.random(6_000) < expit(((x @ theta.T) * (x2 @ theta.T)).sum(1))).astype(float)
    return theta, x, x2, t


def test_gradient_is_that_of_the_loss(pairs):
    _, x, x2, t = pairs
    few = slice(40)
    value = lambda w: contrastive_loss(w.reshape(2, 6), x[few], x2[few], t[few])[0]  # noqa: E731
    slope = lambda w: contrastive_loss(w.reshape(2, 6), x[few], x2[few], t[few])[1]  # noqa: E731
    assert check_grad(value, slope, np.random.default_rng(1).standard_normal(12)) < 1e-5


def test_no_features_cost_one_bit(pairs):
    _, x, x2, t = pairs
    value, gradient = contrastive_loss(np.zeros((2, 6)), x, x2, t)
    assert value == pytest.approx(np.log(2))
    np.testing.assert_array_equal(gradient, 0)  # a saddle


def test_features_are_found_up_to_a_rotation(pairs):
    theta, x, x2, t = pairs
    found = ContrastiveMLE(2).fit(x, x2, t)
    np.testing.assert_allclose(found.theta_.T @ found.theta_, theta.T @ theta, atol=0.5)
    assert found.converged_
    assert found.loss_ <= contrastive_loss(theta, x, x2, t)[0]
    np.testing.assert_allclose(found.transform(x[:3]), x[:3] @ found.theta_.T)


def test_swapping_the_two_of_each_pair_changes_nothing(pairs):
    _, x, x2, t = pairs
    one, two = ContrastiveMLE(2).fit(x, x2, t), ContrastiveMLE(2).fit(x2, x, t)
    np.testing.assert_allclose(one.theta_.T @ one.theta_, two.theta_.T @ two.theta_, atol=1e-2)


@pytest.mark.parametrize(
    ("model", "arguments", "said"),
    [
        (ContrastiveMLE(3), (np.ones((2, 2)), np.ones((2, 2)), [0, 1]), r"rank=3 \(1\.\.2\)"),
        (ContrastiveMLE(1), (np.ones((2, 2)), np.ones((2, 2)), [0, 2]), "other than 0 and 1"),
        (ContrastiveMLE(1), (np.ones((2, 2)), np.ones((3, 2)), [0, 1]), "shapes"),
        (ContrastiveMLE(1), (np.full((2, 2), np.nan), np.ones((2, 2)), [0, 1]), "not finite"),
        (ContrastiveMLE(1, steps=0), (np.ones((2, 2)), np.ones((2, 2)), [0, 1]), "steps=0"),
    ],
)
def test_bad_input_is_named(model, arguments, said):
    with pytest.raises(BadInput, match=said):
        model.fit(*arguments)


def test_other_columns_than_fitted_are_refused(pairs):
    _, x, x2, t = pairs
    with pytest.raises(BadInput, match="6 columns were fitted"):
        ContrastiveMLE(1, steps=1).fit(x[:9], x2[:9], t[:9]).transform(np.ones((1, 2)))
