"""The machine of an attention layer that keeps several tokens of a sequence, as layers with a nonlinear head do.

From Ataee Tarzanagh, Li, Thrampoulidis and Oymak, arXiv 2308.16898, section on nonlinear heads: the weights grow like
W_fin + C W_mm, where W_fin fixes the ratios of the probabilities that stay and W_mm drives all others to zero.

Departure: the Frobenius norm only, which belongs to training W itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overparam.errors import BadInput
from overparam.methods.theory.attention_svm import SEPARABLE, check_selection, least_distance

Array = NDArray[np.float64]
Status = Literal["solved", "undecided", "finite", "infeasible"]
CONSISTENT = 1e-8  # largest violation of an equation, tokens and queries of length one


@dataclass(frozen=True)
class MultiTokenSVM:
    """Two directions, or the reason why there are none.

    Attributes:
        W_fin: (d, q), shortest W with (x_s - x_t)' W z = ln(p_s / p_t) for all s, t that are kept.
        W_mm: (d, q), shortest W with equal scores of the kept tokens and a margin of one to all others.
        status: `solved`; `undecided`: a probability lies between the thresholds; `finite`: none is below the lower
            one, so nothing grows without bound; `infeasible`: no W meets the conditions. W are zeros unless solved.
        kept: (n, T), the tokens whose probability stays.
    """

    W_fin: Array
    W_mm: Array
    status: Status
    kept: NDArray[np.bool_]

    def nearest(self, W: ArrayLike) -> Array:
        """Combine both directions: W_fin + C W_mm with the C that comes closest to trained weights.

        Args:
            W: (d, q) trained weights.

        Returns:
            (d, q).

        Raises:
            BadInput: Another shape, or nothing was solved.
        """
        given = np.asarray(W, dtype=np.float64)
        if given.shape != self.W_mm.shape or self.status != "solved":
            raise BadInput(f"W has shape {given.shape}, status {self.status!r}; want {self.W_mm.shape} if solved")
        scale = ((given - self.W_fin) * self.W_mm).sum() / (self.W_mm**2).sum()
        return np.asarray(self.W_fin + scale * self.W_mm)


def multi_token_svm(
    X: ArrayLike, z: ArrayLike, softmax: ArrayLike, *, low: float = 1e-6, high: float = 1e-3
) -> MultiTokenSVM:
    """Solve for the finite part and the growing part of the weights, given the probabilities after training.

    Args:
        X: (n, T, d) tokens, T >= 2.
        z: (n, q) queries.
        softmax: (n, T) probabilities; rows sum to one.
        low: Probabilities up to here count as zero.
        high: Probabilities above count as kept; between both nothing is decided.

    Returns:
        Both directions with a status. The system is dense: O(n T d q) memory.

    Raises:
        BadInput: Shapes that do not fit, values that are not finite, rows that do not sum to one, or thresholds that
            are not 0 < low <= high < 1/T.

    Source: arXiv 2308.16898, generalised machine for several tokens.

    Example:
        >>> X = [[[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]]
        >>> found = multi_token_svm(X, [[1.0]], [[0.5, 0.5, 0.0]])
        >>> found.status, (abs(found.W_mm - 0.5) < 1e-12).all().item()
        ('solved', True)
    """
    share = np.asarray(softmax, dtype=np.float64)
    tokens, queries, _ = check_selection(X, z, np.zeros(len(share) if share.ndim else 0, dtype=np.int64))
    if share.shape != tokens.shape[:2] or not np.allclose(share.sum(1), 1, atol=1e-6):
        raise BadInput(f"softmax has shape {share.shape}, expected {tokens.shape[:2]} with rows that sum to one")
    if not 0 < low <= high < 1 / tokens.shape[1]:
        raise BadInput(f"low={low}, high={high}: give 0 < low <= high < 1/T = {1 / tokens.shape[1]:.3g}")
    kept = share > high
    none = np.zeros((tokens.shape[2], queries.shape[1]))
    if ((share > low) & ~kept).any():
        return MultiTokenSVM(none, none, "undecided", kept)
    if kept.all():
        return MultiTokenSVM(none, none, "finite", kept)
    first = kept.argmax(1)  # kept tokens have equal scores, so one of them stands for all
    others = np.arange(tokens.shape[1]) != first[:, None]
    equal, apart = _rows(tokens, queries, first, kept & others), _rows(tokens, queries, first, ~kept)
    own = np.broadcast_to(np.take_along_axis(share, first[:, None], 1), share.shape)
    ratios = np.log(own[kept & others] / share[kept & others])
    finite = np.linalg.lstsq(equal, ratios, rcond=None)[0] if len(equal) else np.zeros(none.size)
    growing = _margin(apart, equal)
    if growing is None or (len(equal) and np.abs(equal @ finite - ratios).max() > CONSISTENT):
        return MultiTokenSVM(none, none, "infeasible", kept)
    return MultiTokenSVM(finite.reshape(none.shape), growing.reshape(none.shape), "solved", kept)


def _rows(tokens: Array, queries: Array, first: NDArray[np.int64], mask: NDArray[np.bool_]) -> Array:
    """vec((x_first - x_t) z') for the tokens of a mask."""
    owner, other = np.nonzero(mask)
    differences = tokens[owner, first[owner]] - tokens[owner, other]
    size = tokens.shape[2] * queries.shape[1]
    return np.asarray(np.einsum("ki,kj->kij", differences, queries[owner]).reshape(len(owner), size))


def _margin(apart: Array, equal: Array) -> Array | None:
    """Shortest w with apart @ w >= 1 and equal @ w = 0, or None."""
    free = apart - apart @ np.linalg.pinv(equal) @ equal if len(equal) else apart
    scale = np.linalg.norm(apart, axis=1).max() or 1.0
    weights, _ = least_distance(free.T / scale, 100)
    w = free.T @ weights
    smallest = float((free @ w).min()) if np.linalg.norm(w) > 0 else 0.0
    return np.asarray(w / smallest) if smallest > SEPARABLE * scale * np.linalg.norm(w) else None
