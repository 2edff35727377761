"""Label memorisation and influence of every training example at once, from models trained on random subsets.

mem(A, S, i) = Pr[h(x_i) = y_i; h ~ A(S)] - Pr[h(x_i) = y_i; h ~ A(S without i)] (arXiv 1906.05271, definition of label
memorisation). Leaving out one example at a time costs n trainings for each repetition. The subsampled estimator (arXiv
2008.03703) trains t models on random subsets of equal size and compares those that held the example with those that
did not: one set of models serves all examples, and the influence on all test points is one matrix product.

Departures:
1. The standard error is ours: that of two shares with one success and one failure added to each (Agresti and Caffo),
   so that a handful of models that all agree do not claim certainty.
2. Subsets have floor(fraction * n) examples, so the target is memorisation at that size, not leave-one-out at n.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from overparam.errors import BadInput

Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
Learner = Callable[[Any, Any, int], Any]


class Estimate(NamedTuple):
    """A difference of two shares.

    Attributes:
        value: In [-1, 1]; NaN where an example lies in all or in no subsets.
        se: Standard error, of the same shape.
    """

    value: Floats
    se: Floats


@runtime_checkable
class SubsetLearner(Protocol):
    """A learner that trains on all subsets in one go, such as `MLPBank`."""

    def predict_subsets(
        self, X: Any, y: Any, masks: Mask, points: Sequence[Any], seeds: Sequence[int]
    ) -> list[NDArray[Any]]:
        """Train one model a row of `masks`, and return its predictions (t, k) on each set of k points."""


@dataclass(frozen=True)
class MemorizationResult:
    """Memorisation of n examples and their influence on test points, from t models.

    Attributes:
        mem: (n,) memorisation in [-1, 1]; NaN for an example in all or in no subsets.
        se: (n,) standard errors.
        influence: (n, n_test) effect of a training example on the correctness of a test point, or None.
        influence_se: (n, n_test) standard errors, or None.
        masks: (t, n) which model was trained on which example.
        correct: (t, n) which model was right on which training example.
        correct_test: (t, n_test) the same on test points, or None.
    """

    mem: NDArray[np.float64]
    se: NDArray[np.float64]
    influence: Floats | None
    influence_se: Floats | None
    masks: Mask
    correct: Mask
    correct_test: Mask | None


def estimate_memorization(
    fit: Learner | SubsetLearner | Any,
    X: Any,
    y: Any,
    X_test: Any = None,
    y_test: Any = None,
    *,
    n_subsets: int = 200,
    fraction: float = 0.7,
    seed: int = 0,
) -> MemorizationResult:
    """Train t models on random subsets and compare those with and without each example.

    The mean squared error against memorisation at the subsets' size is at most
    1/(f t) + 1/((1 - f) t) + exp(-f (1 - f) t / 16) for t subsets of a fraction f. Memory: t (n + n_test) bytes for
    correctness, and two matrices (n, n_test) with test points.

    Args:
        fit: `fit(X_subset, y_subset, seed)` that returns a function from inputs to labels, a fitted object with
            `predict`, or a trained `nn.Module` (judged by the largest logit, in evaluation mode); or a scikit-learn
            classifier, cloned for each subset with `random_state=seed` where it has one; or an `MLPBank`, which
            trains all subsets in one batched program. Each subset gets a seed of its own.
        X: (n, ...) array or tensor, finite.
        y: (n,) class labels, at least two classes.
        X_test: (n_test, ...) points whose correctness is to be explained.
        y_test: (n_test,) their labels.
        n_subsets: Number t of models, at least 2.
        fraction: Part of the examples in each subset, in (0, 1).
        seed: Draws the subsets and the seeds of the models.

    Returns:
        Memorisation, influence and what they were made of.

    Raises:
        BadInput: Empty data, labels that do not fit the inputs or are no classes, one class only, NaN or infinity,
            a learner that raises, predictions of another length, or arguments as for `subset_masks`.

    Source: arXiv 2008.03703, algorithm 1 and lemma 2.1 (bound).

    Example:
        >>> from sklearn.neighbors import KNeighborsClassifier
        >>> X, y = np.array([[0.0], [0.1], [0.2], [0.3], [5.0], [5.1]]), np.array([0, 0, 1, 0, 1, 1])
        >>> result = estimate_memorization(KNeighborsClassifier(1), X, y, n_subsets=400, fraction=0.5)
        >>> int(result.mem.argmax()), float(result.mem[2])  # a label that its neighbours contradict
        (2, 1.0)
    """
    X, y = check_labelled(X, y)
    if (X_test is None) != (y_test is None):
        raise BadInput("X_test and y_test belong together; pass both or neither")
    tested = X_test is not None
    points, labels = [X], [_numpy(y)]
    if tested:
        X_test, y_test = check_labelled(X_test, y_test, name="X_test", classes=1)
        points, labels = [X, X_test], [_numpy(y), _numpy(y_test)]
    masks = subset_masks(len(labels[0]), n_subsets, fraction=fraction, seed=seed)
    seeds = [int(s) for s in np.random.SeedSequence([seed, 1]).generate_state(n_subsets, np.uint32)]
    if isinstance(fit, SubsetLearner):
        predictions = fit.predict_subsets(X, y, masks, points, seeds)
    else:
        predictions = _one_by_one(fit, X, y, masks, points, seeds)
    correct = [np.asarray(p) == want[None] for p, want in zip(predictions, labels, strict=True)]
    mem = memorization_from_correctness(correct[0], masks)
    effect = influence_from_correctness(correct[1], masks) if tested else None
    return MemorizationResult(
        mem=mem.value.astype(np.float64),
        se=mem.se.astype(np.float64),
        influence=effect.value if effect else None,
        influence_se=effect.se if effect else None,
        masks=masks,
        correct=correct[0],
        correct_test=correct[1] if tested else None,
    )


def subset_masks(n: int, n_subsets: int, *, fraction: float = 0.7, seed: int = 0) -> Mask:
    """Draw subsets of equal size, uniformly without replacement.

    Args:
        n: Number of examples.
        n_subsets: Number t of subsets, at least 2.
        fraction: Part of the examples in each, in (0, 1); the size is floor(fraction * n).
        seed: Draws them.

    Returns:
        (t, n), true where a subset holds an example.

    Raises:
        BadInput: Fewer than two subsets, or a fraction that leaves a subset empty or complete.

    Example:
        >>> subset_masks(10, 4, fraction=0.7).sum(1).tolist()
        [7, 7, 7, 7]
    """
    size = subset_size(n, fraction)
    if n_subsets < 2:
        raise BadInput(f"n_subsets={n_subsets} leaves nothing to compare; pass n_subsets>=2")
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0]))
    masks = np.zeros((n_subsets, n), dtype=bool)
    for row in masks:  # one permutation at a time: ranks of a whole (t, n) matrix would take eight times the memory
        row[rng.permutation(n)[:size]] = True
    return masks


def subset_size(n: int, fraction: float) -> int:
    """Return floor(fraction * n), as it would be without rounding errors (0.29 of 100 is 29).

    Args:
        n: Number of examples.
        fraction: In (0, 1).

    Returns:
        Size of a subset, between 1 and n - 1.

    Raises:
        BadInput: A fraction outside (0, 1), or one that leaves a subset empty.

    Example:
        >>> subset_size(100, 0.29)
        29
    """
    if not 0.0 < fraction < 1.0:
        raise BadInput(f"fraction={fraction} is outside (0, 1); pass a part of the examples such as 0.7")
    size = min(math.floor(fraction * n + 1e-9), n - 1)
    if size < 1:
        raise BadInput(f"fraction={fraction} of n={n} examples leaves a subset empty; pass more of either")
    return size


def memorization_from_correctness(A: ArrayLike, M: ArrayLike) -> Estimate:
    """Return mean(A_ki over subsets k with i) - mean(A_ki over subsets k without i).

    Args:
        A: (t, n) whether model k is right on training example i, or its probability of being right.
        M: (t, n) whether model k was trained on example i.

    Returns:
        (n,) memorisation and standard errors, float64.

    Raises:
        BadInput: Shapes that differ, no models, or correctness outside [0, 1].

    Example:
        >>> memorization_from_correctness([[1, 1], [0, 1], [1, 1]], [[1, 1], [0, 1], [1, 0]]).value.tolist()
        [1.0, 0.0]
    """
    right, mask = _correctness(A, "A"), np.asarray(M, dtype=bool)
    if right.shape != mask.shape:
        raise BadInput(f"A has shape {right.shape} and M {mask.shape}; pass one row a model, one column an example")
    inside = np.where(mask, right, 0.0).sum(0, dtype=np.float64)
    outside = right.sum(0, dtype=np.float64) - inside
    n_in = mask.sum(0).astype(np.float64)
    return _difference(inside, n_in, outside, len(mask) - n_in)


def influence_from_correctness(B: ArrayLike, M: ArrayLike) -> Estimate:
    """Return the effect of every training example on every test point: one product of (n, t) with (t, n_test).

    Args:
        B: (t, n_test) whether model k is right on test point z, or its probability of being right.
        M: (t, n) whether model k was trained on example i.

    Returns:
        (n, n_test) influence and standard errors, float64 for float64 input and else float32, in which sums of zeros
        and ones are exact.

    Raises:
        BadInput: Numbers of models that differ, no models, or correctness outside [0, 1].

    Example:
        >>> influence_from_correctness([[1, 0], [0, 0], [1, 1]], [[1], [0], [1]]).value.tolist()
        [[1.0, 0.5]]
    """
    right, mask = _correctness(B, "B"), np.asarray(M, dtype=bool)
    if mask.ndim != 2 or right.ndim != 2 or len(mask) != len(right):
        raise BadInput(f"B has shape {right.shape} and M {mask.shape}; pass one row a model in both")
    weights = mask.astype(right.dtype)
    inside = weights.T @ right
    outside = right.sum(0, dtype=np.float64).astype(right.dtype) - inside  # spares the second product
    n_in = weights.sum(0)[:, None]
    return _difference(inside, n_in, outside, len(mask) - n_in)


def _difference(inside: Floats, n_in: Floats, outside: Floats, n_out: Floats) -> Estimate:
    """Difference of two shares and its standard error, NaN where one of them has no models."""
    undefined = (n_in == 0) | (n_out == 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = np.where(undefined, np.nan, inside / n_in - outside / n_out)
    variance = np.zeros_like(value)
    for hits, models in ((inside, n_in), (outside, n_out)):
        share = (hits + 1) / (models + 2)
        variance += share * (1 - share) / (models + 2)
    return Estimate(value.astype(inside.dtype), np.where(undefined, np.nan, np.sqrt(variance)).astype(inside.dtype))


def _correctness(given: ArrayLike, name: str) -> Floats:
    right = np.asarray(given)
    right = right if right.dtype == np.float64 else right.astype(np.float32)
    if right.ndim != 2 or right.size == 0:
        raise BadInput(f"{name} has shape {right.shape}; pass one row a model and one column a point")
    if not (right.min() >= 0.0 and right.max() <= 1.0):  # written so that NaN fails
        raise BadInput(f"{name} leaves [0, 1] or holds NaN; pass correctness, or the probability of being correct")
    return cast(Floats, right)


def check_labelled(X: Any, y: Any, *, name: str = "X", classes: int = 2) -> tuple[Any, Any]:
    """Check inputs and class labels; tensors stay tensors, everything else becomes an array.

    Args:
        X: (n, ...) inputs.
        y: (n,) labels: integers, booleans or texts; whole numbers written as floats will do.
        name: What to call the inputs in messages.
        classes: Least number of different labels.

    Returns:
        Both, as tensors or arrays.

    Raises:
        BadInput: Empty data, lengths that differ, labels that are no classes, too few classes, NaN or infinity.
    """
    X, y = (v if isinstance(v, Tensor) else np.asarray(v) for v in (X, y))
    label = "y" if name == "X" else name.replace("X", "y")
    if X.ndim == 0 or len(X) == 0:
        raise BadInput(f"{name} holds no examples; pass at least one")
    if y.ndim != 1 or len(y) != len(X):
        raise BadInput(f"{label} has shape {tuple(y.shape)} for {len(X)} rows of {name}; pass one label a row")
    values, labels = _numpy(X), _numpy(y)
    if not (np.issubdtype(values.dtype, np.number) or values.dtype == np.bool_):
        raise BadInput(f"{name} has dtype {values.dtype}; pass numbers")
    bad = ~np.isfinite(values.reshape(len(values), -1)).all(1)
    if bad.any():
        raise BadInput(f"{name}[{int(bad.argmax())}] holds NaN or infinity; drop or fill such rows")
    if np.issubdtype(labels.dtype, np.floating):
        whole = np.isfinite(labels) & (labels == np.round(labels))
        if not whole.all():
            first = int((~whole).argmax())
            raise BadInput(f"{label}[{first}]={labels[first]} is no class; pass whole numbers or texts")
    found = len(np.unique(labels))
    if found < classes:
        raise BadInput(f"{label} holds {found} class; memorisation tells labels apart, pass {classes} or more")
    return X, y


def _numpy(values: Any) -> NDArray[Any]:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _one_by_one(
    fit: Any, X: Any, y: Any, masks: Mask, points: Sequence[Any], seeds: Sequence[int]
) -> list[NDArray[Any]]:
    """Train on each subset in turn."""
    learn = _learner(fit)
    out: list[list[NDArray[Any]]] = [[] for _ in points]
    for k, (mask, seed) in enumerate(zip(masks, seeds, strict=True)):
        rows = np.flatnonzero(mask)
        try:
            predict = _predictor(learn(X[rows], y[rows], seed))
            found = [_numpy(predict(p)) for p in points]
        except BadInput:
            raise
        except Exception as error:
            classes = len(np.unique(_numpy(y)[rows]))
            raise BadInput(
                f"fit raised {type(error).__name__} on subset {k} with {len(rows)} examples of {classes} classes: "
                f"{error}; mend the learner, or pass a larger fraction"
            ) from error
        for kept, labels, wanted in zip(out, found, points, strict=True):
            if labels.shape != (len(wanted),):
                raise BadInput(f"fit predicts shape {labels.shape} for {len(wanted)} points; return one label a point")
            kept.append(labels)
    return [np.stack(rows_of) for rows_of in out]


def _learner(fit: Any) -> Learner:
    if hasattr(fit, "fit") and hasattr(fit, "get_params"):

        def fresh(X: Any, y: Any, seed: int) -> Any:
            from sklearn.base import clone

            model = clone(fit)
            if "random_state" in model.get_params():
                model.set_params(random_state=seed)
            return model.fit(_numpy(X), _numpy(y))

        return fresh
    if not callable(fit):
        raise BadInput(f"fit is a {type(fit).__name__}; pass fit(X, y, seed) or a scikit-learn classifier")
    return cast(Learner, fit)


def _predictor(fitted: Any) -> Callable[[Any], Any]:
    if isinstance(fitted, nn.Module):
        return lambda points: _classes(fitted, points)
    if hasattr(fitted, "predict"):
        return lambda points: fitted.predict(_numpy(points))
    return cast(Callable[[Any], Any], fitted)


@torch.no_grad()
def _classes(model: nn.Module, points: Any) -> Tensor:
    """Largest logit in evaluation mode; the mode is left as it was."""
    weight = next(model.parameters())
    mode = model.training
    model.eval()
    try:
        return cast(Tensor, model(torch.as_tensor(points).to(weight)).argmax(-1))
    finally:
        model.train(mode)
