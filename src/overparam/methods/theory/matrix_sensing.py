"""Low-rank matrices seen through linear measurements: y_i = <A_i, M>, or M itself.

From Xiong, Ding and Du, How Over-Parameterization Slows Down Gradient Descent in Matrix Sensing (arXiv 2310.01769).
The descent that recovers them is in `factor_descent`.
"""

from __future__ import annotations

import copy

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overparam.errors import BadInput

Array = NDArray[np.float64]


class MatrixSensing:
    """Measurements of a matrix of shape (n1, n2).

    Without `operator` the matrix is observed in full (matrix factorisation: the operator is the identity). With
    m >= n1 n2 / 2 measurements the Gram matrix of the operator is formed once, (n1 n2)^2 numbers, so that a step
    costs one product with it in place of two with the operator.

    Args:
        shape: (n1, n2).
        operator: (m, n1, n2), or None.
        observed: (m,), or (n1, n2) without an operator.

    Source: arXiv 2310.01769, section 2.
    """

    def __init__(self, shape: tuple[int, int], *, operator: Array | None = None, observed: Array | None = None) -> None:
        if operator is not None and operator.shape[1:] != tuple(shape):
            raise BadInput(
                f"operator has matrices of shape {operator.shape[1:]}, expected {tuple(shape)}; make them agree"
            )
        self.shape = (int(shape[0]), int(shape[1]))
        self.operator = operator
        self.observed = observed
        self.target: Array | None = None  # known only to `observe`, for measuring the error
        self._flat = None if operator is None else operator.reshape(len(operator), -1)
        size = self.shape[0] * self.shape[1]
        self._gram = self._flat.T @ self._flat if self._flat is not None and len(self._flat) >= size / 2 else None

    def forward(self, matrices: Array) -> Array:
        """Measure matrices.

        Args:
            matrices: (..., n1, n2).

        Returns:
            (..., m); the matrices themselves when observed in full.
        """
        if self._flat is None:
            return matrices
        return matrices.reshape(*matrices.shape[:-2], -1) @ self._flat.T

    def adjoint(self, values: Array) -> Array:
        """Apply the adjoint: sum_i z_i A_i.

        Args:
            values: (..., m).

        Returns:
            (..., n1, n2).
        """
        return values if self._flat is None else (values @ self._flat).reshape(*values.shape[:-1], *self.shape)

    def observe(self, matrix: Array) -> MatrixSensing:
        """Return the same problem with the measurements of a matrix.

        Args:
            matrix: (n1, n2).

        Returns:
            A new problem that shares the operator.
        """
        made = copy.copy(self)
        made.observed = self.forward(matrix)
        made.target = matrix
        return made

    def residual(self, matrices: Array) -> tuple[Array, Array]:
        """Gradient of the loss with respect to the matrix, A*(A(X) - y), and the loss 1/2 ||A(X) - y||^2.

        Args:
            matrices: (s, n1, n2).

        Returns:
            (s, n1, n2) and (s,).

        Raises:
            BadInput: Nothing was observed.
        """
        if self.observed is None:
            raise BadInput("observed=None; call observe(matrix) or give the measurements first")
        if self._gram is not None and self.target is not None:
            error = (matrices - self.target).reshape(len(matrices), -1)
            pulled = error @ self._gram
            return pulled.reshape(matrices.shape), 0.5 * np.einsum("si,si->s", error, pulled)
        difference = self.forward(matrices) - self.observed
        flat = difference.reshape(len(matrices), -1)
        return self.adjoint(difference), 0.5 * np.einsum("si,si->s", flat, flat)


def gaussian_sensing(
    n1: int, n2: int, m: int, rng: int | np.random.Generator, *, symmetric: bool = False
) -> MatrixSensing:
    """Draw a Gaussian operator with entries N(0, 1/m): near isometric on matrices of low rank.

    Args:
        n1: Rows.
        n2: Columns.
        m: Measurements.
        rng: Generator or seed.
        symmetric: Whether each A_i is made symmetric, as a symmetric factorisation needs.

    Returns:
        A problem without observations.

    Raises:
        BadInput: A count below 1, or symmetric with n1 != n2.

    Source: arXiv 2310.01769, section 2 (restricted isometry).
    """
    if min(n1, n2, m) < 1 or (symmetric and n1 != n2):
        raise BadInput(f"n1={n1}, n2={n2}, m={m}, symmetric={symmetric}: give counts >= 1, equal sides if symmetric")
    operator = np.random.default_rng(rng).normal(0.0, m**-0.5, (m, n1, n2))
    if symmetric:
        operator = (operator + operator.transpose(0, 2, 1)) / 2
    return MatrixSensing((n1, n2), operator=operator)


def low_rank_target(
    n1: int, n2: int, *, singular_values: ArrayLike, psd: bool, rng: int | np.random.Generator
) -> Array:
    """Draw a matrix U diag(s) V' with orthonormal factors; V = U if `psd`.

    Args:
        n1: Rows.
        n2: Columns.
        singular_values: Positive, as many as the rank.
        psd: Whether the matrix is symmetric and positive semi-definite.
        rng: Generator or seed.

    Returns:
        (n1, n2).

    Raises:
        BadInput: A rank above the sides, a value that is not positive, or psd with n1 != n2.

    Example:
        >>> M = low_rank_target(6, 6, singular_values=(2.0, 1.0), psd=True, rng=0)
        >>> np.linalg.svd(M)[1].round(9)[:3].tolist()
        [2.0, 1.0, 0.0]
    """
    s = np.asarray(singular_values, dtype=np.float64)
    if not 1 <= len(s) <= min(n1, n2) or (s <= 0).any() or (psd and n1 != n2):
        allowed = f"give 1 to {min(n1, n2)} positive values, and equal sides if psd"
        raise BadInput(f"singular_values={s.tolist()} with shape ({n1}, {n2}), psd={psd}: {allowed}")
    generator = np.random.default_rng(rng)
    left = np.linalg.qr(generator.normal(size=(n1, len(s))))[0]
    right = left if psd else np.linalg.qr(generator.normal(size=(n2, len(s))))[0]
    product: Array = (left * s) @ right.T
    return product
