"""Exact label memorisation of the nearest-neighbour rule, without training or sampling anything.

For subsets of m out of n examples, drawn uniformly, the memorisation of example i is the chance that the nearest
neighbour in a subset with i has the label y_i, less that chance in a subset without i. With the other n - 1 points in
order of distance, the nearest of them in a random m-subset is the k-th with probability C(n-1-k, m-1)/C(n-1, m), so the
second term is a sum over ranks. It is what `estimate_memorization` estimates when the learner is 1-NN.

Ties: points at equal distance share the decision, as if a nearest one were drawn at random. This makes the result
independent of the order of the rows. Duplicates of x_i with another label therefore lower both terms. Distances whose
squares agree to the rounding error of the computation count as equal.

Source: arXiv 1906.05271 (memorisation), arXiv 2008.03703 (subsets); the closed form is ours.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from overparam.errors import BadInput
from overparam.methods.measures.memorization import check_labelled, subset_size

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
NEGLIGIBLE = 1e-17  # ranks that are reached with less than this probability are left out
TOLERATED = 1e-15  # error of a group of equal distances that is looked at in part
CHUNK_BYTES = 2**26
ROUNDING = 64 * np.finfo(np.float64).eps  # of a squared distance computed by a product, relative to the norms


def knn_memorization_exact(X: Any, y: Any, *, fraction: float = 0.7) -> NDArray[np.float64]:
    """Return the memorisation of every example by the 1-NN rule on random subsets.

    Costs n^2 d for the distances and n^2 for the selection of the nearest ones (the number that matters grows as
    1/fraction, not with n); memory 64 MiB and a few copies of the data.

    Args:
        X: (n, ...) array or tensor, finite; Euclidean distance over the flattened rows.
        y: (n,) class labels, at least two classes.
        fraction: Part of the examples in each subset, in (0, 1); the size is floor(fraction * n).

    Returns:
        (n,) in [-1, 1], float64. 0: the neighbours tell the label anyway; 1: they never do. Negative values need
        duplicates with other labels.

    Raises:
        BadInput: Fewer than two examples or classes, labels that do not fit or are no classes, NaN or infinity, or a
            fraction that leaves subsets empty.

    Example:
        >>> X, y = [[0.0], [1.0], [3.0], [7.0]], [0, 0, 1, 1]
        >>> knn_memorization_exact(X, y, fraction=0.5).round(4).tolist()  # 2 of 4; without i, 2 of the other 3
        [0.3333, 0.3333, 1.0, 0.3333]
    """
    X, y = check_labelled(X, y)
    points = np.asarray(X.detach().cpu() if hasattr(X, "detach") else X, dtype=np.float64).reshape(len(X), -1)
    _, labels = np.unique(np.asarray(y.cpu() if hasattr(y, "cpu") else y), return_inverse=True)
    n, size = len(points), subset_size(len(points), fraction)
    missed = _missed(n - 1, size)
    places = _Places(points, labels)
    # the first place is that of i itself, the last only shows where the group before it ends
    nearest = min(len(places.points), int((missed > NEGLIGIBLE).sum()) + 2)
    rows = max(1, CHUNK_BYTES // (8 * len(places.points)))
    parts = [
        _without_and_with(places, np.arange(start, min(start + rows, n)), nearest, missed, size)
        for start in range(0, n, rows)
    ]
    return np.concatenate(parts)


def _missed(others: int, size: int) -> Array:
    """Probability that a random subset of the others misses the r nearest: C(others-r, size)/C(others, size)."""
    r = np.arange(others)
    steps = np.clip((others - r - size) / (others - r), 0.0, 1.0)
    return np.concatenate([[1.0], np.cumprod(steps)])


class _Places:
    """Different points with the number of examples of each label on them: duplicates cannot be told apart."""

    def __init__(self, points: Array, labels: Ints) -> None:
        # adding zero turns -0.0 into 0.0, which `unique` would otherwise keep apart
        self.points, place, counts = np.unique(points + 0.0, axis=0, return_inverse=True, return_counts=True)
        self.place: Ints = place.reshape(-1)
        self.counts: Ints = counts
        self.labels, self._classes = labels, int(labels.max()) + 1
        self._keys, self._matching = np.unique(self.place * self._classes + labels, return_counts=True)
        self.points = self.points - np.median(self.points, axis=0)  # small norms keep the rounding errors small
        self.norms = np.einsum("nd,nd->n", self.points, self.points)
        if not np.isfinite(self.norms).all():
            raise BadInput("X holds values whose squares overflow; scale the columns down")

    def matching(self, places: Ints, labels: Ints) -> Ints:
        """Number of examples with a given label on given places."""
        keys = places * self._classes + labels
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[at] == keys, self._matching[at], 0)


def _without_and_with(places: _Places, rows: Ints, nearest: int, missed: Array, size: int) -> Array:
    """Memorisation of some rows: accuracy with the example less accuracy without it."""
    own, labels = places.place[rows], places.labels[rows]
    squares = places.norms[own, None] + places.norms - 2 * places.points[own] @ places.points.T
    squares[np.arange(len(rows)), own] = -np.inf  # itself and its duplicates come first, whatever the rounding
    chosen, found = _in_order(squares, nearest)
    here = places.counts[chosen]
    same = places.matching(chosen, labels[:, None])
    here[:, 0] -= 1  # the example itself is left out
    same[:, 0] -= 1
    group = _ties(places, own, chosen, found)
    result = _accuracy_with(here[:, 0], same[:, 0], missed, size) - _first_hit(group, here, same, missed)
    if nearest < squares.shape[1]:
        start = np.where(group < group[:, -1:], here, 0).sum(1)  # rank at which the last group begins
        cut = missed[np.minimum(start, len(missed) - 1)] > TOLERATED
        if cut.any():  # that group may go on beyond what was looked at
            result[cut] = _without_and_with(places, rows[cut], min(4 * nearest, squares.shape[1]), missed, size)
    return result


def _in_order(squares: Array, nearest: int) -> tuple[Ints, Array]:
    """Positions and values of the smallest entries of each row, in increasing order."""
    if nearest < squares.shape[1]:
        chosen = np.argpartition(squares, nearest - 1, axis=1)[:, :nearest]
    else:
        chosen = np.broadcast_to(np.arange(nearest), squares.shape)
    found = np.take_along_axis(squares, chosen, 1)
    order = np.argsort(found, axis=1, kind="stable")
    return np.take_along_axis(chosen, order, 1), np.take_along_axis(found, order, 1)


def _ties(places: _Places, own: Ints, chosen: Ints, found: Array) -> Ints:
    """Number the groups of equal distance in each row: 0 for the place itself, then 1, 2, .."""
    tolerance = ROUNDING * (places.norms[own, None] + places.norms[chosen[:, 1:]])
    later = np.diff(found, axis=1) > tolerance
    later[:, :1] = True
    return np.concatenate([np.zeros((len(found), 1), dtype=np.int64), np.cumsum(later, axis=1)], axis=1)


def _first_hit(group: Ints, here: Ints, same: Ints, missed: Array) -> Array:
    """Sum over groups of Pr[the nearest in the subset lies in it] times its share of the label."""
    width = group.shape[1]
    flat = (group + width * np.arange(len(group))[:, None]).ravel()
    totals = np.bincount(flat, here.ravel(), len(group) * width).reshape(len(group), width)
    matching = np.bincount(flat, same.ravel(), len(group) * width).reshape(len(group), width)
    ends = np.minimum(np.cumsum(totals, axis=1).astype(np.int64), len(missed) - 1)
    after = missed[ends]
    before = np.concatenate([np.ones((len(group), 1)), after[:, :-1]], axis=1)
    share = np.divide(matching, totals, out=np.zeros_like(totals), where=totals > 0)
    accuracy: Array = ((before - after) * share).sum(1)
    return accuracy


def _accuracy_with(twins: Ints, same: Ints, missed: Array, size: int) -> Array:
    """Accuracy on an example in the subset: 1 without duplicates, else it shares the vote with those drawn."""
    n = len(missed)
    # with J of g duplicates drawn beside it, E[1/(1+J)] = (n/m) (1 - C(n-1-g, m)/C(n, m)) / (g + 1)
    alone = n / size * (1 - missed[twins] * (n - size) / n) / (twins + 1)
    share = np.divide(same, twins, out=np.ones(len(twins)), where=twins > 0)
    accuracy: Array = share + (1 - share) * alone
    return accuracy
