"""Finds in a training log when the training data were fitted, when new data followed, and how far apart the two are.

From Xu, Wang, Frei, Vardi and Hu, arXiv 2310.02541; Power et al., arXiv 2201.02177, named the phenomenon. The rule for
noisy logs is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from overparam.errors import BadInput

Array = NDArray[np.float64]
ROUNDING = 1e-6  # a logged 0.9999999 is a 1


@dataclass(frozen=True)
class Grok:
    """A delayed transition, or its absence.

    Attributes:
        fit_step: Step from which the training accuracy keeps its level; None if it never does.
        generalise_step: The same for the test accuracy.
        delay: Steps between the two, negative if the test accuracy was there first; None if either is missing.
        test_at_fit: Test accuracy at the fit step: the last value logged by then. None without a fit step.
        grokked: Whether both levels are kept, the delay is positive, and more than half of the way of the test
            accuracy, from its first value to its level, was left when the training data were fitted.
    """

    fit_step: float | None
    generalise_step: float | None
    delay: float | None
    test_at_fit: float | None
    grokked: bool


def level_reached(
    values: ArrayLike, steps: ArrayLike, level: float, *, keep: float = 0.9, hold: int = 2
) -> float | None:
    """Find the step from which a logged value keeps a level.

    It is the first step with a value at or above the level such that, counted from there to any later log, at least the
    part `keep` of the logs are at or above it. So one lucky value does not count, a dip shortly after arrival moves the
    step behind the dip, and later dips are forgiven as long as they are rare. At least `hold` logs have to remain.

    Args:
        values: (t,), such as accuracies.
        steps: (t,), increasing.
        level: In the unit of the values.
        keep: In (0, 1]; 1 forgives no dip.
        hold: Least number of logs from the step to the end, at least 1.

    Returns:
        The step, or None if the level is never kept.

    Raises:
        BadInput: Lengths that differ, no values, values that are not finite, steps that do not increase, or keep or
            hold out of range.

    Example:
        >>> level_reached([0.5, 0.95, 0.5, 0.6, 0.9, 0.97, 0.99], [1, 2, 3, 4, 5, 6, 7], 0.9)
        5.0
        >>> level_reached([0.5, 0.95, 0.5], [1, 2, 3], 0.9) is None
        True
    """
    v, s = _checked(values, steps)
    if not 0 < keep <= 1 or hold < 1:
        raise BadInput(f"keep={keep}, hold={hold}: give keep in (0, 1] and hold >= 1")
    above = v >= level - ROUNDING * max(1.0, abs(level))
    sums = np.concatenate([[0.0], np.cumsum(above - keep)])
    lowest = np.minimum.accumulate(sums[:0:-1])[::-1]  # of the sums at this log and later
    kept = above & (lowest >= sums[:-1] - 1e-9) & (np.arange(len(v)) <= len(v) - hold)
    return float(s[np.argmax(kept)]) if kept.any() else None


def detect_grokking(
    train_acc: ArrayLike,
    test_acc: ArrayLike,
    steps: ArrayLike,
    *,
    fit: float = 1.0,
    good: float = 0.9,
    test_steps: ArrayLike | None = None,
    keep: float = 0.9,
    hold: int = 2,
) -> Grok:
    """Look for grokking in any training log: training data fitted first, new data much later.

    Args:
        train_acc: (t,), training accuracy.
        test_acc: (t,) or (u,), accuracy on held-out data.
        steps: (t,), increasing: steps, epochs or seconds.
        fit: Level of the training accuracy that counts as fitted, in the unit of the log.
        good: Level of the test accuracy that counts as generalising.
        test_steps: (u,), where the test accuracy was logged less often.
        keep: How strictly a level is kept, as in `level_reached`.
        hold: As in `level_reached`.

    Returns:
        Steps and delay. A level that is never kept gives None, not zero.

    Raises:
        BadInput: As `level_reached`.

    Source: arXiv 2310.02541, abstract: full training accuracy with near-random test accuracy first, near-optimal test
    accuracy at a later step.

    Example:
        >>> found = detect_grokking([0.4, 1, 1, 1, 1, 1], [0.5, 0.5, 0.6, 0.8, 0.95, 0.99], [0, 1, 2, 10, 50, 100])
        >>> found.fit_step, found.generalise_step, found.delay, found.grokked
        (1.0, 50.0, 49.0, True)
    """
    test_steps = steps if test_steps is None else test_steps
    fitted = level_reached(train_acc, steps, fit, keep=keep, hold=hold)
    generalises = level_reached(test_acc, test_steps, good, keep=keep, hold=hold)
    delay = None if fitted is None or generalises is None else generalises - fitted
    values, at = _checked(test_acc, test_steps)
    then = None if fitted is None else float(values[max(0, int(np.searchsorted(at, fitted, side="right")) - 1)])
    late = delay is not None and delay > 0 and then is not None and then < (float(values[0]) + good) / 2
    return Grok(fitted, generalises, delay, then, late)


def _checked(values: ArrayLike, steps: ArrayLike) -> tuple[Array, Array]:
    v, s = np.asarray(values, dtype=np.float64), np.asarray(steps, dtype=np.float64)
    if v.ndim != 1 or v.shape != s.shape or not len(v):
        raise BadInput(f"values have shape {v.shape} and steps {s.shape}; give one value a step, at least one")
    if not (np.isfinite(v).all() and np.isfinite(s).all()):
        raise BadInput("values or steps are not finite; leave out the lines that lack one")
    if not (np.diff(s) > 0).all():
        i = int(np.argmax(np.diff(s) <= 0))
        raise BadInput(f"steps do not increase: {s[i]:g} is followed by {s[i + 1]:g}; give one run, sorted by step")
    return v, s
