"""How many eigenvalues stand apart from the bulk: three counts that need not agree.

Source: arXiv 1706.04454 and its predecessor arXiv 1611.07476, which see about as many large eigenvalues as there are
classes, and count by eye. Departure 1: the rules of counting are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from overparam.errors import BadInput

LOOK = 25
EDGE_QUANTILE = 0.99
EDGE_FACTOR = 2.0


@dataclass(frozen=True)
class OutlierReport:
    """Counts of outliers.

    Attributes:
        gap_index: Number of eigenvalues above the largest relative gap among the first 25; may stop at 1 where the
            leading one, the mean direction, is alone.
        gap_ratio: Size of that gap, lambda_i / lambda_(i + 1).
        second_index: The same among indices from 2 on.
        above_edge: Eigenvalues above twice the edge of the bulk; None where too few are given to see the bulk.
        edge: Edge of the bulk: the 0.99 quantile of the magnitudes of all but the largest.
        km1_ratio: lambda_(K - 1) / lambda_K for K classes; None without `n_classes`, or without that many.
    """

    gap_index: int
    gap_ratio: float
    second_index: int | None
    above_edge: int | None
    edge: float | None
    km1_ratio: float | None


def count_outliers(eigs: Sequence[float] | Any, n_classes: int | None = None) -> OutlierReport:
    """Count the eigenvalues that stand apart.

    The relative gap needs only the top of the spectrum. The edge needs the bulk, too: it is taken over what is left
    when the 3 K largest are put aside (30 without `n_classes`), and only where at least 100 values are left.

    Args:
        eigs: (m,) eigenvalues in any order, all or the largest; a tensor, an array or a list.
        n_classes: K, the number of classes, for which K - 1 outliers are expected.

    Returns:
        Report.

    Raises:
        BadInput: Fewer than two positive eigenvalues, some that are not finite, or n_classes below 2.

    Example:
        >>> report = count_outliers([9.0, 8.0, 7.0] + [0.1] * 200, n_classes=4)
        >>> report.gap_index, report.above_edge, round(report.km1_ratio, 9)
        (3, 3, 70.0)
    """
    given = eigs.detach().cpu().numpy() if hasattr(eigs, "detach") else eigs
    values = np.sort(np.asarray(given, dtype=np.float64).ravel())[::-1]
    if not np.isfinite(values).all():
        raise BadInput(f"eigs holds {int((~np.isfinite(values)).sum())} numbers that are not finite; leave them out")
    if n_classes is not None and n_classes < 2:
        raise BadInput(f"n_classes={n_classes} makes no classes; pass at least 2")
    positive = values[values > 0]
    if len(positive) < 2:
        raise BadInput(f"eigs holds {len(positive)} positive values of {len(values)}; a gap needs two")
    ratios = positive[:LOOK] / positive[1 : LOOK + 1] if len(positive) > LOOK else positive[:-1] / positive[1:]
    first = int(ratios.argmax())
    wanted = (n_classes or 0) - 1
    aside = 3 * (n_classes or 10)
    edge = float(np.quantile(np.abs(values[aside:]), EDGE_QUANTILE)) if len(values) >= aside + 100 else None
    return OutlierReport(
        gap_index=first + 1,
        gap_ratio=float(ratios[first]),
        second_index=int(ratios[1:].argmax()) + 2 if len(ratios) > 1 else None,
        above_edge=None if edge is None else int((values > EDGE_FACTOR * edge).sum()),
        edge=edge,
        km1_ratio=float(positive[wanted - 1] / positive[wanted]) if 1 <= wanted < len(positive) else None,
    )
