import numpy as np
import pytest

from overparam.errors import BadInput
from overparam.methods.theory.attention_svm import attention_svm, correlation
from overparam.methods.theory.multi_token_svm import multi_token_svm

SHARES = np.array([[0.6, 0.3, 0.1, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.2, 0.0, 0.8]])


def problem(d=6):
    rng = np.random.default_rng(0)
    return rng.normal(size=(3, 4, d)), rng.normal(size=(3, d))


def test_both_parts_meet_their_conditions():
    X, z = problem()
    found = multi_token_svm(X, z, SHARES)
    assert found.status == "solved"
    finite, growing = (np.einsum("ntd,de,ne->nt", X, W, z) for W in (found.W_fin, found.W_mm))
    for i in range(3):
        kept = found.kept[i]
        np.testing.assert_allclose(np.diff(finite[i][kept]), np.diff(np.log(SHARES[i][kept])), atol=1e-9)
        np.testing.assert_allclose(np.diff(growing[i][kept]), 0, atol=1e-9)
        assert (growing[i][kept][0] - growing[i][~kept]).min() >= 1 - 1e-9
    assert min((growing[i][SHARES[i] > 0][0] - growing[i][SHARES[i] == 0]).min() for i in range(3)) == pytest.approx(1)


def test_both_parts_are_the_shortest():
    from scipy.optimize import minimize

    X, z = problem(4)
    found = multi_token_svm(X, z, SHARES)
    rows = lambda i, s, t: np.outer(X[i, s] - X[i, t], z[i]).ravel()  # noqa: E731
    equal = np.array([rows(0, 0, 1), rows(0, 0, 2), rows(2, 1, 3)])
    apart = np.array([rows(0, 0, 3), *(rows(1, 0, t) for t in (1, 2, 3)), rows(2, 1, 0), rows(2, 1, 2)])
    peer = minimize(
        lambda w: w @ w, np.zeros(16), jac=lambda w: 2 * w, method="SLSQP", options={"ftol": 1e-14, "maxiter": 500},
        constraints=[{"type": "eq", "fun": lambda w: equal @ w}, {"type": "ineq", "fun": lambda w: apart @ w - 1}],
    )  # fmt: skip
    np.testing.assert_allclose(found.W_mm.ravel(), peer.x, atol=1e-5)
    ratios = np.log([0.6 / 0.3, 0.6 / 0.1, 0.2 / 0.8])
    np.testing.assert_allclose(found.W_fin.ravel(), np.linalg.pinv(equal) @ ratios, atol=1e-9)


def test_one_token_each_is_the_plain_machine():
    X, z = problem()
    found = multi_token_svm(X, z, np.eye(4)[[0, 2, 1]])
    np.testing.assert_allclose(found.W_mm, attention_svm(X, z, [0, 2, 1]).W, atol=1e-9)
    np.testing.assert_array_equal(found.W_fin, 0)


def test_the_combination_is_the_nearest_of_its_line():
    X, z = problem()
    found = multi_token_svm(X, z, SHARES)
    W = found.W_fin + 7 * found.W_mm
    np.testing.assert_allclose(found.nearest(W), W, atol=1e-9)
    other = np.random.default_rng(3).normal(size=W.shape)
    rest = other - found.nearest(other)
    assert abs((rest * found.W_mm).sum()) < 1e-9
    assert correlation(found.W_mm, found.nearest(1e6 * found.W_mm)) == pytest.approx(1)
    with pytest.raises(BadInput, match="W has shape"):
        found.nearest(W[:2])


def test_what_is_not_decided_says_why():
    X, z = problem()
    between = np.array([[0.5, 0.5 - 1e-4, 1e-4, 0.0], *SHARES[1:]])
    assert multi_token_svm(X, z, between).status == "undecided"
    assert multi_token_svm(X, z, np.full((3, 4), 0.25)).status == "finite"
    X[0, 3] = X[0, 0]  # a token that is dropped equals one that stays
    lost = multi_token_svm(X, z, SHARES)
    assert lost.status == "infeasible"
    with pytest.raises(BadInput, match="status 'infeasible'"):
        lost.nearest(lost.W_mm)
    X, z = problem()
    X[0, 1] = X[0, 0]  # equal tokens cannot have unequal probabilities
    assert multi_token_svm(X, z, SHARES).status == "infeasible"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"softmax": SHARES[:2]}, "X has shape|z has shape|selected|softmax has shape"),
        ({"softmax": SHARES[:, :3]}, "softmax has shape"),
        ({"softmax": 2 * SHARES}, "sum to one"),
        ({"softmax": np.nan * SHARES}, "sum to one"),
        ({"X": np.zeros((3, 1, 6))}, "T >= 2"),
        ({"z": np.full((3, 6), np.nan)}, "z holds"),
        ({"low": 0.0}, "low=0.0"),
        ({"high": 0.3}, "high=0.3"),
        ({"low": 1e-2}, "low=0.01"),
    ],
)
def test_arguments_are_checked(change, says):
    X, z = problem()
    with pytest.raises(BadInput, match=says):
        multi_token_svm(**{"X": X, "z": z, "softmax": SHARES, **change})
