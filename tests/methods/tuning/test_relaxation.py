import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, csr_matrix, diags_array

from overparam.errors import BadInput, Diverged
from overparam.methods.tuning.relaxation import Stencil5, sor, ssor_pcg
from overparam.methods.tuning.relaxation_theory import (
    iteration_bound,
    iteration_matrix,
    jacobi_radius,
    normalised_gap,
    optimal_omega,
    sor_radius,
)

GRID = Stencil5(6, 0.1)
B = np.random.default_rng(0).standard_normal(36)


def dense_sor(A, b, omega, x, tol=1e-8):
    """One row after the other, as the definition has it."""
    r0 = np.linalg.norm(b - A @ x)
    for k in range(1, 10_000):
        for i in range(len(b)):
            x[i] += omega * (b[i] - A[i] @ x) / A[i, i]
        if np.linalg.norm(b - A @ x) / r0 < tol:
            return x, k
    raise AssertionError


@pytest.mark.parametrize("omega", [0.7, 1.0, 1.4, 1.9])
def test_sor_is_the_update_of_one_row_after_the_other(omega):
    found = sor(GRID, B, omega)
    x, k = dense_sor(GRID.matrix().toarray(), B, omega, np.zeros(36))
    assert found.iterations == k
    assert found.converged
    np.testing.assert_allclose(found.x, x, atol=1e-12)
    assert found.residual < 1e-8


def test_omega_one_is_gauss_seidel_on_a_matrix_without_symmetry():
    rng = np.random.default_rng(1)
    A = rng.standard_normal((12, 12)) + np.diag(np.full(12, 12.0))
    lower = np.tril(A)
    x = np.zeros(12)
    found = sor(A, np.ones(12), 1.0)
    for _ in range(found.iterations):
        x = np.linalg.solve(lower, np.ones(12) - np.triu(A, 1) @ x)
    np.testing.assert_allclose(found.x, x, atol=1e-14)


@pytest.mark.parametrize("solver", [sor, ssor_pcg])
def test_all_kinds_of_matrix_give_the_same(solver):
    one = solver(GRID, B, 1.3)
    for other in (GRID.matrix(), GRID.matrix().toarray(), csr_matrix(GRID.matrix()), GRID.matrix().tocoo()):
        found = solver(other, B, 1.3)
        assert found.iterations == one.iterations
        np.testing.assert_array_equal(found.x, one.x)
    np.testing.assert_allclose(GRID.matrix() @ one.x, B, atol=1e-6)


@pytest.mark.parametrize("solver", [sor, ssor_pcg])
def test_nothing_to_do_takes_no_iteration(solver):
    x = np.random.default_rng(2).standard_normal(36)
    assert solver(GRID, np.zeros(36), 1.5).iterations == 0
    found = solver(GRID, GRID.matrix() @ x, 1.5, x)
    assert found.iterations == 0
    np.testing.assert_array_equal(found.x, x)


def test_the_count_does_not_depend_on_the_scale_and_callers_arrays_stay():
    b, x0 = B.copy(), np.ones(36)
    matrix = GRID.matrix()
    held = matrix.copy()
    for solver in (sor, ssor_pcg):
        assert solver(matrix, b, 1.5, x0).iterations == solver(GRID, 2.0**20 * b, 1.5, 2.0**20 * x0).iterations
    np.testing.assert_array_equal(b, B)
    np.testing.assert_array_equal(x0, 1.0)
    assert (matrix != held).nnz == 0


def test_preconditioned_conjugate_gradients_are_those_of_scipy():
    from scipy.sparse.linalg import LinearOperator, cg

    A = GRID.matrix().toarray()
    D, L = np.diag(np.diag(A)), np.tril(A, -1)
    for omega in (0.5, 1.0, 1.6):
        X = D + omega * L
        P = np.linalg.inv(X @ np.linalg.inv(D) @ X.T / (omega * (2 - omega)))
        steps = []
        x, _ = cg(A, B, rtol=1e-8, M=LinearOperator(A.shape, lambda r, P=P: P @ r), callback=steps.append)
        found = ssor_pcg(GRID, B, omega)
        assert found.iterations == len(steps)
        np.testing.assert_allclose(found.x, x, atol=1e-9)


def test_at_the_cap_the_last_iterate_comes_back_with_a_warning():
    for solver, name in ((sor, "SOR"), (ssor_pcg, "SSOR-PCG")):
        with pytest.warns(UserWarning, match=f"{name} with omega=1.2 stopped at the cap of 3 iterations"):
            found = solver(GRID, B, 1.2, max_iter=3)
        assert (found.converged, found.iterations) == (False, 3)
        assert 1e-8 < found.residual < 1
        assert np.linalg.norm(B - GRID.matrix() @ found.x) < np.linalg.norm(B)


def _changed(i, j, value):
    A = GRID.matrix().toarray()
    A[i, j] = value
    return A


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"omega": 0.0}, r"omega=0 is outside \(0, 2\)"),
        ({"omega": 2.0}, r"omega=2 is outside \(0, 2\)"),
        ({"omega": math.nan}, r"omega=nan is outside"),
        ({"A": np.ones((3, 4))}, r"A has shape \(3, 4\); pass a square matrix"),
        ({"A": np.ones(4)}, r"A has shape \(4,\)"),
        ({"A": _changed(3, 3, 0.0)}, r"A\[3, 3\] is zero"),
        ({"A": _changed(3, 4, math.nan)}, "A has entries that are not finite"),
        ({"A": GRID.matrix().astype(complex)}, "complex128 numbers; pass real ones"),
        ({"b": np.ones(5)}, r"b has shape \(5,\); A has 36 rows"),
        ({"b": np.where(np.arange(36) == 7, np.inf, 1.0)}, r"b\[7\] is not finite"),
        ({"x0": np.ones(5)}, r"x0 has shape \(5,\)"),
        ({"tol": 0.0}, "tol=0.0, max_iter=10000"),
        ({"max_iter": 0}, "max_iter=0"),
    ],
)
@pytest.mark.parametrize("solver", [sor, ssor_pcg])
def test_bad_input_is_named(solver, change, message):
    with pytest.raises(BadInput, match=message):
        solver(**({"A": GRID, "b": B, "omega": 1.2} | change))


def test_matrices_that_are_not_positive_definite_are_told():
    indefinite = Stencil5(6, -2.0)
    with pytest.raises(Diverged, match=r"SOR with omega=1.2 left the finite numbers at sweep \d+; pass a symmetric"):
        sor(indefinite, B, 1.2)
    with pytest.raises(BadInput, match=r"A is not positive definite: p'Ap=-[\d.]+ at step"):
        ssor_pcg(indefinite, B, 1.2)
    with pytest.raises(BadInput, match=r"A is not positive definite: A\[0, 0\]=-1"):
        ssor_pcg(Stencil5(6, -5.0), B, 1.2)
    with pytest.raises(BadInput, match="A is not symmetric: entries differ from their mirror image by up to 2"):
        ssor_pcg(_changed(0, 1, 1.0), B, 1.2)
    singular = csr_array(diags_array([-np.ones(9), np.r_[1.0, np.full(8, 2.0), 1.0], -np.ones(9)], offsets=[-1, 0, 1]))
    with pytest.warns(UserWarning, match="stopped at the cap"):
        assert not sor(singular, np.eye(10)[0], 1.2, max_iter=500).converged
    with pytest.raises(BadInput, match=r"Stencil5\(size=0"):
        Stencil5(0)


@pytest.mark.parametrize("shift", [-0.1, 0.0, 0.4])
def test_the_formula_is_young_s(shift):
    grid = Stencil5(6, shift)
    beta, best = jacobi_radius(grid), optimal_omega(grid)
    assert jacobi_radius(grid.matrix()) == pytest.approx(beta)
    for omega in np.linspace(0.5, 1.95, 12):
        exact = np.abs(np.linalg.eigvals(iteration_matrix(grid, omega))).max()
        assert sor_radius(beta, omega) == pytest.approx(exact, abs=1e-6)
    assert sor_radius(beta, best) == pytest.approx(best - 1, abs=1e-6)  # omega - 1 from the best one on
    assert sor_radius(beta, 1.9) == pytest.approx(0.9)
    assert (sor_radius(beta, np.linspace(0.05, 1.99, 98)) >= best - 1 - 1e-9).all()


def test_the_formula_without_shift_has_sines():
    assert optimal_omega(Stencil5(10)) == pytest.approx(2 / (1 + math.sin(math.pi / 11)), abs=1e-14)
    assert optimal_omega(np.diag([1.0, 4.0])) == 1.0


def test_lanczos_finds_the_radius_of_a_larger_grid():
    assert jacobi_radius(Stencil5(21).matrix()) == pytest.approx(jacobi_radius(Stencil5(21)), rel=1e-10)


def test_the_matrix_of_an_iteration_carries_the_residual():
    A = GRID.matrix()
    with pytest.warns(UserWarning, match="cap of 5"):
        found = sor(GRID, B, 1.3, max_iter=5)
    np.testing.assert_allclose(np.linalg.matrix_power(iteration_matrix(GRID, 1.3), 5) @ B, B - A @ found.x, atol=1e-12)


@settings(max_examples=15, deadline=None)
@given(st.floats(1.0, 1.95), st.floats(0.0, 0.4), st.integers(0, 100))
def test_the_bound_holds_with_the_gap_of_its_own_count(omega, shift, seed):
    grid, b = Stencil5(5, shift), np.random.default_rng(seed).standard_normal(25)
    k = sor(grid, b, omega).iterations
    tau = max(0.0, normalised_gap(grid, omega, k - 1))
    assert k <= iteration_bound(grid, omega, tau=tau) + 1e-6


def test_the_gap_vanishes_with_many_sweeps_and_the_bound_becomes_the_rate():
    assert normalised_gap(GRID, 1.2, 0) == 0.0
    assert normalised_gap(GRID, 1.2, 10) > normalised_gap(GRID, 1.2, 100) > 0
    rate = 1 + math.log(1e-8) / math.log(float(sor_radius(jacobi_radius(GRID), 1.2)))
    assert iteration_bound(GRID, 1.2) == pytest.approx(rate)
    assert iteration_bound(GRID.matrix(), 1.2) == pytest.approx(rate, rel=1e-5)
    assert iteration_bound(np.eye(3), 1.0) == 1.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: optimal_omega(Stencil5(6, -2.0)), "the Jacobi radius 1.80194 is not below 1"),
        (lambda: jacobi_radius(Stencil5(6, -4.0)), "its diagonal is 0"),
        (lambda: sor_radius(1.0, 1.2), r"beta=1.0 is outside \[0, 1\)"),
        (lambda: sor_radius(0.5, 2.5), "omega=2.5 is outside"),
        (lambda: iteration_bound(GRID, 1.2, eps=0.0), "eps=0.0, tau=0.0"),
        (lambda: iteration_bound(GRID, 1.2, tau=1.0), "tau=1.0"),
        (lambda: iteration_bound(Stencil5(6, -2.0).matrix(), 1.2), "SOR does not converge"),
        (lambda: normalised_gap(GRID, 1.2, -1), "k=-1 is negative"),
    ],
)
def test_bad_input_of_the_theory_is_named(call, message):
    with pytest.raises(BadInput, match=message):
        call()
