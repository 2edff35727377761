"""Tuning of one hyper-parameter over many tasks: the exact maximiser of the average utility, with a certificate.

Source: arXiv 2501.13734, empirical risk minimisation over tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from overparam.errors import BadInput
from overparam.methods.tuning.discovery import Signature, discover
from overparam.methods.tuning.piecewise import PiecewiseFunction, check_interval
from overparam.methods.tuning.task_bounds import Certificate, observed_deviation, uniform_deviation


def accuracy(predicted: NDArray[Any], target: NDArray[Any]) -> float:
    """Share of right predictions.

    Args:
        predicted: (s,).
        target: (s,).

    Returns:
        Between 0 and 1.
    """
    return float((predicted == target).mean())


class DataDrivenTuner(BaseEstimator):  # type: ignore[misc]
    """Finds the alpha in [lo, hi] with the best average utility over tasks.

    Args:
        lo: Left end.
        hi: Right end.
        tol: Width to which breaks are narrowed.
        n_init: Points of the first grid of each task.
        max_evals: Budget of each task.
        utility: Takes `predicted` (s,) and `target` (s,) of one task; accuracy by default.
        height: Length of the interval in which utilities lie, for the certificate.

    Source: arXiv 2501.13734.

    Example:
        >>> tasks = [lambda a, c=c: (a[:, None] > [c, 0.9 - c]).astype(int) for c in (0.2, 0.3)]
        >>> tuner = DataDrivenTuner(0.0, 1.0).fit(tasks, targets=[np.array([1, 0])] * 2)
        >>> round(tuner.alpha_, 3), tuner.utility_, tuner.certificate().counts
        (0.45, 1.0, (2, 2))
    """

    def __init__(
        self,
        lo: float,
        hi: float,
        *,
        tol: float = 1e-6,
        n_init: int = 33,
        max_evals: int = 5_000,
        utility: Callable[..., float] = accuracy,
        height: float = 1.0,
    ) -> None:
        self.lo = lo
        self.hi = hi
        self.tol = tol
        self.n_init = n_init
        self.max_evals = max_evals
        self.utility = utility
        self.height = height

    def fit(
        self, tasks: Sequence[Signature | PiecewiseFunction], targets: Sequence[NDArray[Any]] | None = None
    ) -> DataDrivenTuner:
        """Tune.

        Args:
            tasks: For each task its exact utility (`exact_ridge_interpolation`, `exact_graph_kernel`), or a function
                from alphas (q,) to predictions (q, s), which is then searched by bisection.
            targets: (s,) for each task; needed for functions.

        Returns:
            Itself, with `curve_` (average utility), `curves_` (of each task), `alpha_`, `utility_`, `maximum_` and
            `n_evals_`.

        Raises:
            BadInput: No tasks, missing targets, or another interval than the tasks'.
        """
        check_interval(self.lo, self.hi)
        if not tasks or (targets is not None and len(targets) != len(tasks)):
            raise BadInput(f"{len(tasks)} tasks, {'no' if targets is None else len(targets)} targets: give one each")
        self.n_evals_, curves = 0, []
        for number, task in enumerate(tasks):
            if isinstance(task, PiecewiseFunction):
                if (task.lo, task.hi) != (self.lo, self.hi):
                    raise BadInput(f"task {number} lives on [{task.lo:g}, {task.hi:g}], not [{self.lo:g}, {self.hi:g}]")
                curves.append(task)
                continue
            if targets is None:
                raise BadInput(f"task {number} is a function from alphas to predictions; give targets")
            found = discover(
                task, self.lo, self.hi, tol=self.tol, n_init=self.n_init, max_evals=self.max_evals, seed=number
            )
            self.n_evals_ += found.n_evals
            curves.append(found.function(partial(self.utility, target=np.asarray(targets[number]))))
        self.curves_ = tuple(curves)
        self.curve_ = PiecewiseFunction.mean(self.curves_)
        self.maximum_ = self.curve_.argmax()
        self.alpha_, self.utility_ = self.maximum_.alpha, self.maximum_.value
        return self

    def certificate(self, *, breaks: float | None = None, delta: float = 0.05) -> Certificate:
        """Bound how far the average utility is from the expected one on new tasks of the same law.

        Args:
            breaks: A bound on the breaks of every task, if one is known.
            delta: Probability of failure.

        Returns:
            Deviations, in units of the utility.
        """
        check_is_fitted(self, "curves_")
        counts = tuple(len(curve.breaks) for curve in self.curves_)
        n = len(counts)
        algebraic = None if breaks is None else uniform_deviation(n, breaks, height=self.height, delta=delta)
        observed = observed_deviation(counts, height=self.height, delta=delta)
        return Certificate(observed, algebraic, n, counts, delta)
