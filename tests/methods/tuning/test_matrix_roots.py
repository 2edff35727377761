import numpy as np
import pytest
from scipy.linalg import eigh

from overparam.errors import BadInput
from overparam.methods.tuning.matrix_roots import matrix_polynomial_roots, sign_changes


def test_one_by_one_matrices_are_polynomials():
    wanted = np.array([0.1, 0.35, 0.9])
    coefficients = np.polynomial.polynomial.polyfromroots([*wanted, 1.7, -2.0])[:, None, None]
    np.testing.assert_allclose(matrix_polynomial_roots(coefficients, 0.0, 1.0)[0], wanted, atol=1e-10)


def test_a_linear_pencil_gives_generalised_eigenvalues():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 6, 6))
    a, b = a + a.T, b @ b.T + np.eye(6)
    values = eigh(a, b, eigvals_only=True)
    found = matrix_polynomial_roots([a, -b], values[0] - 1, values[-1] + 1)[0]
    np.testing.assert_allclose(found, values, atol=1e-9)


def test_roots_make_the_determinant_vanish_and_all_sign_changes_are_among_them():
    rng = np.random.default_rng(1)
    coefficients = rng.standard_normal((3, 5, 4, 4))
    grid = np.linspace(-1, 1, 4_001)
    for j, roots in enumerate(matrix_polynomial_roots(coefficients, -1.0, 1.0)):

        def det(alpha, j=j):
            return np.linalg.det(np.tensordot(alpha[:, None] ** np.arange(3), coefficients[:, j], axes=1))

        assert np.abs(det(roots)).max(initial=0) < 1e-8 * np.abs(det(grid)).max()
        values = det(grid)
        changes = grid[:-1][values[1:] * values[:-1] < 0]
        assert all(np.abs(roots - c).min() < 1e-3 for c in changes)


def test_a_singular_leading_coefficient_is_no_obstacle():
    lead = np.diag([1.0, 0.0])
    found = matrix_polynomial_roots([np.diag([-0.5, 1.0]), lead], 0.0, 1.0)[0]
    np.testing.assert_allclose(found, [0.5])


def test_a_zero_that_only_touches_is_no_sign_change():
    def evaluate(alpha, number):
        return np.where(number == 0, (alpha - 0.5) ** 2 * (alpha - 0.8), alpha - 0.25)

    changes, positive = sign_changes(evaluate, [np.array([0.5, 0.8]), np.array([0.25])], 0.0, 1.0)
    np.testing.assert_allclose(changes[0], [0.8])
    np.testing.assert_allclose(changes[1], [0.25])
    assert positive.tolist() == [False, False]


def test_functions_without_zeros_have_a_sign_and_no_change():
    changes, positive = sign_changes(lambda a, j: np.where(j == 0, 1.0, -1.0) + 0 * a, [np.empty(0)] * 2, 0.0, 1.0)
    assert [len(c) for c in changes] == [0, 0]
    assert positive.tolist() == [True, False]


@pytest.mark.parametrize(
    ("coefficients", "lo", "said"),
    [
        (np.ones((2, 2, 3)), 0.0, "two square matrices"),
        (np.ones((1, 2, 2)), 0.0, "two square matrices"),
        (np.full((2, 2, 2), np.nan), 0.0, "finite"),
        (np.ones((2, 2, 2)), 1.0, "lo < hi"),
    ],
)
def test_bad_input_is_named(coefficients, lo, said):
    with pytest.raises(BadInput, match=said):
        matrix_polynomial_roots(coefficients, lo, 1.0)
