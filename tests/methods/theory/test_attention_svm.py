import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC

from overparam.errors import BadInput
from overparam.methods.theory.attention_svm import (
    attention_svm,
    correlation,
    is_locally_optimal,
    least_distance,
    norm_of,
)

NORMS = ("fro", "nuc")
both = pytest.mark.parametrize("norm", NORMS)


def problem(n=5, tokens=6, d=8, seed=0):
    rng = np.random.default_rng(seed)
    X, z = rng.normal(size=(n, tokens, d)), rng.normal(size=(n, d))
    return X, z, rng.integers(tokens, size=n)


def rows(X, z, selected):
    """vec((x_selected - x_t) z') one by one, as the definition says."""
    return np.array([
        np.outer(X[i, selected[i]] - X[i, t], z[i]).ravel()
        for i in range(len(X))
        for t in range(X.shape[1])
        if t != selected[i]
    ])


@both
def test_one_difference_has_the_closed_form_in_both_norms(norm):
    X, z, _ = problem(1, 2, 5)
    difference = X[0, 1] - X[0, 0]
    found = attention_svm(X, z, [1], norm=norm)
    np.testing.assert_allclose(
        found.W, np.outer(difference, z[0]) / (difference @ difference) / (z[0] @ z[0]), rtol=1e-7
    )
    assert found.rank == 1
    assert found.value == pytest.approx(1 / np.linalg.norm(difference) / np.linalg.norm(z[0]))


@both
@pytest.mark.parametrize("shape", [(5, 6, 8), (3, 4, 4), (10, 5, 12), (2, 9, 20)])
def test_the_answer_is_feasible_and_its_gap_is_certified(norm, shape):
    X, z, selected = problem(*shape)
    found = attention_svm(X, z, selected, norm=norm, tol=1e-9)
    margins = rows(X, z, selected) @ found.W.ravel()
    assert margins.min() == pytest.approx(1, abs=1e-9)
    np.testing.assert_allclose(np.sort(found.margins[np.isfinite(found.margins)]), np.sort(margins), rtol=1e-9)
    assert found.value == pytest.approx(norm_of(found.W, norm))
    assert 0 <= found.gap <= 1e-9
    assert found.dual_value <= found.value
    assert found.converged
    assert found.rank <= min(shape[0], shape[2])


def test_each_norm_is_smallest_in_its_own_measure():
    X, z, selected = problem()
    fro, nuc = (attention_svm(X, z, selected, norm=k) for k in NORMS)
    assert norm_of(fro.W, "fro") < norm_of(nuc.W, "fro")
    assert norm_of(nuc.W, "nuc") < norm_of(fro.W, "nuc")
    assert nuc.value > fro.value
    assert nuc.rank < fro.rank


def test_frobenius_is_a_linear_machine_on_the_differences():
    X, z, selected = problem()
    a = rows(X, z, selected)
    signed = np.concatenate([a, -a])
    peer = LinearSVC(C=1e6, loss="hinge", fit_intercept=False, max_iter=10**6, tol=1e-10)
    peer.fit(signed, np.repeat([1, -1], len(a)))
    np.testing.assert_allclose(attention_svm(X, z, selected).W.ravel(), peer.coef_[0], atol=1e-4)


def test_frobenius_meets_the_conditions_of_optimality():
    X, z, selected = problem()
    found, a = attention_svm(X, z, selected), rows(X, z, selected)
    active = a @ found.W.ravel() < 1 + 1e-9
    weights, *_ = np.linalg.lstsq(a[active].T, found.W.ravel(), rcond=None)
    np.testing.assert_allclose(a[active].T @ weights, found.W.ravel(), atol=1e-10)  # W is made of support vectors
    assert (weights > 0).all()
    assert active.sum() == found.active.sum()


def test_nuclear_meets_the_conditions_of_optimality():
    X, z, selected = problem()
    found, a = attention_svm(X, z, selected, norm="nuc", tol=1e-10), rows(X, z, selected)
    left, s, right = np.linalg.svd(found.W)
    r = found.rank
    assert s[r] < 1e-7 * s[0]
    active = a @ found.W.ravel() < 1 + 1e-6
    sign = left[:, :r] @ right[:r]  # a subgradient of the norm is this, plus a part outside of both spaces
    inside = np.array([
        (left[:, :r].T @ m.reshape(8, 8)).ravel().tolist() + (m.reshape(8, 8) @ right[:r].T).ravel().tolist()
        for m in a[active]
    ])
    wanted = np.concatenate([(left[:, :r].T @ sign).ravel(), (sign @ right[:r].T).ravel()])
    weights, *_ = np.linalg.lstsq(inside.T, wanted, rcond=None)
    np.testing.assert_allclose(inside.T @ weights, wanted, atol=1e-4)
    assert weights.min() > -1e-4
    assert weights.sum() == pytest.approx(found.value, rel=1e-4)


@both
def test_scale_and_rotation_act_as_they_must(norm):
    X, z, selected = problem()
    base = attention_svm(X, z, selected, norm=norm).W
    np.testing.assert_allclose(attention_svm(1e-4 * X, z, selected, norm=norm).W, 1e4 * base, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(attention_svm(X, 1e3 * z, selected, norm=norm).W, base / 1e3, rtol=1e-4, atol=1e-7)
    rng = np.random.default_rng(1)
    p, q = (np.linalg.qr(rng.normal(size=(8, 8)))[0] for _ in range(2))
    turned = attention_svm(X @ p.T, z @ q.T, selected, norm=norm).W
    np.testing.assert_allclose(turned, p @ base @ q.T, atol=2e-5)
    shifted = attention_svm(X + rng.normal(size=8), z, selected, norm=norm).W  # only differences count
    np.testing.assert_allclose(shifted, base, atol=2e-5)


@both
def test_tokens_and_sequences_have_no_order(norm):
    X, z, selected = problem()
    base = attention_svm(X, z, selected, norm=norm).W
    order, places = np.random.default_rng(2).permutation(5), np.random.default_rng(3).permutation(6)
    moved = attention_svm(X[order][:, places], z[order], np.argsort(places)[selected[order]], norm=norm).W
    np.testing.assert_allclose(moved, base, atol=2e-5)


@both
def test_queries_may_be_of_another_width_and_a_single_one_makes_the_prompt_machine(norm):
    X, _, selected = problem()
    found = attention_svm(X, np.ones((5, 1)), selected, norm=norm, raise_infeasible=False)
    assert not found.feasible  # a vector of eight numbers cannot separate 25 random differences
    wide = problem(2, 4, 9)
    prompt = attention_svm(wide[0], np.ones((2, 1)), wide[2], norm=norm)
    assert prompt.W.shape == (9, 1)
    other = attention_svm(wide[0], np.ones((2, 1)), wide[2], norm="fro")
    np.testing.assert_allclose(prompt.W, other.W, atol=1e-5)  # all norms of a vector agree


@both
def test_many_constraints_are_added_as_they_are_violated(norm, monkeypatch):
    X, z, selected = problem(6, 40, 12)
    all_together = attention_svm(X, z, selected, norm=norm)
    monkeypatch.setattr("overparam.methods.theory.attention_svm.DIRECT", 10)
    one_by_one = attention_svm(X, z, selected, norm=norm)
    assert one_by_one.value == pytest.approx(all_together.value, rel=2e-8)
    np.testing.assert_allclose(one_by_one.W, all_together.W, atol=2e-3 * np.abs(all_together.W).max())
    assert one_by_one.gap <= 1e-8


@both
def test_what_cannot_be_separated_is_an_error_or_says_so(norm):
    X, z, _ = problem(2, 3, 4)
    X[1], z[1] = X[0], z[0]  # the same sequence twice, with two answers
    with pytest.raises(BadInput, match="no W separates these tokens.*raise_infeasible=False"):
        attention_svm(X, z, [0, 1], norm=norm)
    found = attention_svm(X, z, [0, 1], norm=norm, raise_infeasible=False)
    assert (found.feasible, found.value, found.rank) == (False, np.inf, 0)
    assert found.dual_value > 1e7 / np.abs(X).max()
    with pytest.raises(BadInput, match="nothing separates this selection"):
        is_locally_optimal(found, np.zeros((2, 3)))


def test_equal_tokens_cannot_be_told_apart():
    X = np.ones((1, 2, 3))
    assert not attention_svm(X, np.ones((1, 3)), [0], raise_infeasible=False).feasible


def test_a_capped_solver_gives_the_gap_that_it_can_certify():
    X, z, selected = problem()
    best = attention_svm(X, z, selected, norm="nuc").value
    with pytest.warns(ConvergenceWarning, match=r"gap \d\.\de-0\d is above tol=1e-08 after 7 steps"):
        found = attention_svm(X, z, selected, norm="nuc", max_iter=7)
    assert not found.converged
    assert found.dual_value <= best <= found.value
    with pytest.warns(ConvergenceWarning, match="no separating W was found in 1 steps, and none was ruled out"):
        undecided = attention_svm(*problem(12, 8, 5), norm="nuc", max_iter=1)
    assert not undecided.converged
    assert not undecided.feasible


def test_a_capped_least_squares_leaves_valid_weights(monkeypatch):
    def capped(*_, **__):
        raise RuntimeError("Maximum number of iterations reached.")

    monkeypatch.setattr("scipy.optimize.nnls", capped)
    X, z, selected = problem(1, 4, 9)
    with pytest.warns(ConvergenceWarning, match="gap|no separating W"):
        assert not attention_svm(X, z, selected).converged


def test_nearly_inseparable_tokens_are_solved_as_far_as_rounding_allows():
    X, z, selected = problem(1, 3, 4)
    X[0, (selected[0] + 2) % 3] = 2 * X[0, selected[0]] - X[0, (selected[0] + 1) % 3] + 1e-4  # almost opposite
    for norm in NORMS:
        found = attention_svm(X, z, selected, norm=norm, tol=1e-6)
        assert found.value > 1e3
        assert found.gap < 1e-6


def test_least_distance_without_a_solution_gives_weights_that_prove_it():
    weights, _ = least_distance(np.array([[1.0, -1.0]]), 100)
    assert (weights >= 0).all()
    assert abs(weights[0] - weights[1]) < 1e-12 < weights.sum()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"X": np.zeros((2, 3))}, "X has shape"),
        ({"X": np.zeros((5, 1, 8))}, "T >= 2"),
        ({"X": np.full((5, 6, 8), np.nan)}, "X holds 240 values"),
        ({"z": np.zeros((4, 8))}, "z has shape"),
        ({"z": np.full((5, 8), np.inf)}, "z holds 40 values"),
        ({"selected": np.zeros(4, int)}, "selected has shape"),
        ({"selected": np.zeros(5)}, "type float64"),
        ({"selected": [0, 1, 2, 3, 6]}, "selected holds 6, allowed are 0 to 5"),
        ({"selected": [0, 1, 2, 3, -1]}, "selected holds -1"),
        ({"norm": "op"}, "norm='op'"),
        ({"tol": 0.0}, "tol=0.0"),
        ({"max_iter": 0}, "max_iter=0"),
    ],
)
def test_arguments_are_checked(change, says):
    X, z, selected = problem()
    with pytest.raises(BadInput, match=says):
        attention_svm(**{"X": X, "z": z, "selected": selected, **change})


def test_correlation_is_a_cosine_and_survives_tiny_numbers():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 3, 4))
    assert correlation(a, b) == pytest.approx((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))
    assert correlation(1e-200 * a, -1e200 * a) == pytest.approx(-1)
    with pytest.raises(BadInput, match="give matrices of one shape"):
        correlation(a, b[:2])
    with pytest.raises(BadInput, match="not all zero"):
        correlation(a, 0 * a)


def test_local_optimality_asks_only_the_support_vectors():
    X, z, selected = problem()
    found = attention_svm(X, z, selected)
    scores = np.where(found.active, 0.0, 5.0)
    scores[np.arange(5), selected] = 1.0
    assert is_locally_optimal(found, scores)
    scores[tuple(np.argwhere(found.active)[0])] = 1.0
    assert not is_locally_optimal(found, scores)
    with pytest.raises(BadInput, match="scores has shape"):
        is_locally_optimal(found, scores[:2])
