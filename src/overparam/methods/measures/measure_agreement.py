"""How well a measure ranks networks by their generalisation gap, and how near it comes to the gap itself.

Source: arXiv 1912.02178, section 3 (Kendall's tau, its granulated form Psi, conditional mutual information) and arXiv
2010.11924 (sign error under single interventions, its maximum). Departures:

1. The second paper weighs a pair by the chance that the gaps are ordered as observed; here pairs whose gaps differ by
   no more than `noise` are left out.
2. Ties count 0 in tau and half in the sign error. Details of the mutual information were not at hand: the plug-in
   estimate over all ordered pairs is taken, conditioned on the values of both networks.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from overparam.errors import BadInput

Array = NDArray[np.float64]
Table = Mapping[str, Any]  # column name to values: a dict of sequences, or a data frame


@dataclass(frozen=True)
class Agreement:
    """How a measure ranks.

    Attributes:
        tau: Kendall's correlation with the gap over all pairs, -1 to 1.
        psi: Mean of `psi_by_axis`.
        psi_by_axis: Axis to the mean correlation over groups in which only that axis differs.
        cmi: Least normalised mutual information of both orders given at most two axes, 0 to 1.
        sign_error_max: Largest share of wrong orders over single changes of one axis from one value to another.
    """

    tau: float
    psi: float
    psi_by_axis: dict[str, float]
    cmi: float
    sign_error_max: float


def rank_agreement(
    table: Table, measure: str, *, gap: str = "gap", axes: Sequence[str], noise: float = 0.0
) -> Agreement:
    """Compare the order of networks by a measure with that by their gap.

    Infinite values are larger than all others and tie among each other. Memory: pairs of networks, n^2.

    Args:
        table: Column name to (n,) values: a mapping or a data frame, a row a network.
        measure: Column of the measure.
        gap: Column of the generalisation gap.
        axes: Columns of the hyper-parameters.
        noise: Differences of the gap up to which a pair does not count.

    Returns:
        The agreement; nan where no pair counts.

    Raises:
        BadInput: A column that is missing or holds NaN, fewer than two rows, or no axes.

    Example:
        >>> table = {"width": [1, 2, 3], "norm": [0.1, 0.4, 0.3], "gap": [0.01, 0.02, 0.03]}
        >>> found = rank_agreement(table, "norm", axes=["width"])
        >>> round(found.tau, 4), round(found.psi, 4)  # two pairs of three in order
        (0.3333, 0.3333)
    """
    mu, g = _column(table, measure), _column(table, gap)
    if not axes or len(mu) < 2:
        raise BadInput(f"axes={list(axes)} and {len(mu)} rows; name the hyper-parameters and pass two networks or more")
    codes = {axis: np.unique(np.asarray(list(table[axis])), return_inverse=True)[1] for axis in _known(table, axes)}
    pairs = _order(mu) * _order(g)
    counts = np.abs(g[:, None] - g[None, :]) > noise if noise else np.ones_like(pairs, dtype=bool)
    upper = np.triu(np.ones_like(counts), 1) & counts
    by_axis, errors = {}, []
    for axis in axes:
        only = _only(codes, axis) & upper
        by_axis[axis] = _granulated(pairs, only, codes, axis)
        errors += _sign_errors(pairs, only, codes[axis])
    cmi = min(
        _conditional_information(_order(mu), _order(g), [codes[a] for a in given], counts)
        for size in range(3)
        for given in itertools.combinations(axes, size)
    )
    return Agreement(
        tau=float(pairs[upper].mean()) if upper.any() else float("nan"),
        psi=float(np.mean(list(by_axis.values()))),
        psi_by_axis=by_axis,
        cmi=cmi,
        sign_error_max=max(errors, default=float("nan")),
    )


def _known(table: Table, names: Iterable[str]) -> Iterable[str]:
    for name in names:
        if name not in table:
            raise BadInput(f"table has no column {name!r}; it has {', '.join(map(str, table))}")
        yield name


def _column(table: Table, name: str) -> Array:
    list(_known(table, [name]))
    values = np.asarray(list(table[name]), dtype=np.float64)
    if np.isnan(values).any():
        raise BadInput(f"column {name!r} holds NaN; leave those networks out, or set them infinite")
    return values


def _order(values: Array) -> Array:
    """Sign of the difference of each pair; infinite values tie among each other."""
    return (values[:, None] > values[None, :]).astype(np.float64) - (values[:, None] < values[None, :])


def _only(codes: Mapping[str, NDArray[np.intp]], axis: str) -> NDArray[np.bool_]:
    """Pairs that differ on one axis and agree on all others."""
    found: NDArray[np.bool_] = codes[axis][:, None] != codes[axis][None, :]
    for other, code in codes.items():
        if other != axis:
            found = found & (code[:, None] == code[None, :])
    return found


def _granulated(pairs: Array, only: NDArray[np.bool_], codes: Mapping[str, NDArray[np.intp]], axis: str) -> float:
    """Mean over groups of the mean over the pairs inside."""
    others = [code for other, code in codes.items() if other != axis]
    first, second = np.nonzero(only)
    if not len(first):
        return float("nan")
    if not others:
        return float(pairs[first, second].mean())
    group = np.unique(np.stack(others, 1), axis=0, return_inverse=True)[1].reshape(-1)[first]
    sums = np.bincount(group, pairs[first, second])
    sizes = np.bincount(group)
    return float((sums[sizes > 0] / sizes[sizes > 0]).mean())


def _sign_errors(pairs: Array, only: NDArray[np.bool_], code: NDArray[np.intp]) -> list[float]:
    first, second = np.nonzero(only)
    low, high = np.minimum(code[first], code[second]), np.maximum(code[first], code[second])
    wrong = (1 - pairs[first, second]) / 2
    return [float(wrong[(low == a) & (high == b)].mean()) for a, b in sorted(set(zip(low, high, strict=True)))]


def _conditional_information(
    mu: Array, g: Array, given: Sequence[NDArray[np.intp]], counts: NDArray[np.bool_]
) -> float:
    """I(sign mu; sign g | values of both) over H(sign g | values of both)."""
    keep = counts & (g != 0)
    key = np.zeros(mu.shape, dtype=np.int64)
    for code in given:
        size = int(code.max()) + 1
        key = (key * size + code[:, None]) * size + code[None, :]
    groups = np.unique(key[keep], return_inverse=True)[1]
    if not len(groups):
        return 0.0
    cells = np.zeros((int(groups.max()) + 1, 3, 2))
    np.add.at(cells, (groups, (mu[keep] + 1).astype(int), (g[keep] > 0).astype(int)), 1.0)
    total = cells.sum()
    entropy = _entropy(cells.sum(1), total)
    information = entropy + _entropy(cells.sum(2), total) - _entropy(cells.reshape(len(cells), -1), total)
    return float(max(0.0, information / entropy)) if entropy > 1e-12 else 0.0


def _entropy(counts: Array, total: float) -> float:
    """Sum over rows of p(row) times the entropy inside the row."""
    rows = counts.sum(1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(counts > 0, counts * np.log(counts / rows), 0.0)
    return float(-terms.sum() / total)


@dataclass(frozen=True)
class Tightness:
    """How near a measure comes to the gap.

    Attributes:
        vacuous_share: Share of networks for which it exceeds 1.
        sup_error: Largest |measure - gap|.
        affine_sup_error: The same after the best affine map of the measure, chosen with the gaps in view.
    """

    vacuous_share: float
    sup_error: float
    affine_sup_error: float


def tightness(table: Table, measures: Sequence[str], *, gap: str = "gap") -> dict[str, Tightness]:
    """Hold measures against the gap as numbers, not as ranks.

    The affine map is the best uniform fit, by linear programming; where a measure is infinite it is a constant.

    Args:
        table: Column name to (n,) values.
        measures: Columns.
        gap: Column of the gap.

    Returns:
        Measure to tightness.

    Raises:
        BadInput: A column that is missing, empty or holds NaN.

    Example:
        >>> tightness({"bound": [1.0, 3.0, 5.0], "gap": [0.1, 0.2, 0.3]}, ["bound"])["bound"].vacuous_share
        0.6666666666666666
    """
    g = _column(table, gap)
    if not len(g):
        raise BadInput("table has no rows; pass a network or more")
    found = {}
    for name in measures:
        mu = _column(table, name)
        found[name] = Tightness(float((mu > 1).mean()), float(np.abs(mu - g).max()), _uniform_fit(mu, g))
    return found


def _uniform_fit(mu: Array, g: Array) -> float:
    """Least over a, b of max |a + b mu - g|."""
    constant = float(g.max() - g.min()) / 2
    span = float(mu.max() - mu.min()) if np.isfinite(mu).all() else np.inf
    if not 0 < span < np.inf:
        return constant
    from scipy.optimize import linprog

    scaled, ones = (mu - mu.min()) / span, np.ones_like(mu)
    rows = np.stack([ones, scaled, -ones], 1), np.stack([-ones, -scaled, -ones], 1)
    solved = linprog(
        [0.0, 0.0, 1.0],
        A_ub=np.concatenate(rows),
        b_ub=np.concatenate([g, -g]),
        bounds=[(None, None), (None, None), (0.0, None)],
    )
    return min(constant, float(solved.fun))
