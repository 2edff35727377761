"""Scores of single training examples early in training, and the subsets that they select.

Source: Paul, Ganguli, Dziugaite, arXiv 2107.07075, section 2. Departures from the official code:

1. Labels are integers; probabilities and norms are the same.
2. Ties are broken at random with a seed. The official selection sorts data that lie in class order, so examples
   with equal scores (most forgetting counts are 0) are cut by their position, which favours some classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from overparam.errors import BadInput
from overparam.methods.measures.grand import check_labels, check_scoring, grand
from overparam.methods.measures.objective import Batches, batches
from overparam.stats import spearman

Scores = NDArray[np.float64]
Snapshots = Iterable[tuple[int, Sequence[nn.Module]]]


@torch.no_grad()
def _over(model: nn.Module, data: Batches, score: Callable[[Tensor, Tensor], Tensor], chunk: int) -> Tensor:
    scores: list[Tensor] = []
    for x, y in batches(data, chunk=chunk):
        if not scores:
            check_scoring(model)
        logits = model(x)
        check_labels(y, logits.shape[-1])
        scores.append(score(logits, y))
    return torch.cat(scores)


def el2n(model: nn.Module, data: Batches, *, chunk: int = 512) -> Tensor:
    """Return the L2 norm of the error, ||softmax(f(x)) - onehot(y)||, of each example.

    One forward pass. The paper averages this over ten or more networks, a few epochs into training.

    Source: arXiv 2107.07075, definition 2.3.

    Args:
        model: Network in evaluation mode, with logits (n, classes).
        data: Inputs and labels, or batches of them in a fixed order, without augmentation.
        chunk: Inputs at a time where whole tensors are given.

    Returns:
        (n,), 0 to the square root of 2.

    Raises:
        BadInput: No examples, labels out of range, or batch normalisation or dropout in training mode.

    Example:
        >>> flat = nn.Linear(3, 4)
        >>> _ = nn.init.zeros_(flat.weight), nn.init.zeros_(flat.bias)
        >>> [round(v, 4) for v in el2n(flat, (torch.ones(2, 3), torch.tensor([0, 3]))).tolist()]
        [0.866, 0.866]
    """

    def norm(logits: Tensor, y: Tensor) -> Tensor:
        error = logits.softmax(-1)
        error[torch.arange(len(y), device=y.device), y] -= 1  # our own tensor
        return error.square().sum(-1).sqrt()

    return _over(model, data, norm, chunk)


def margin_score(model: nn.Module, data: Batches, *, kind: Literal["max", "sum"] = "max", chunk: int = 512) -> Tensor:
    """Return the probability of the other classes minus that of the label: large where the network is wrong.

    Source: arXiv 2107.07075, official code.

    Args:
        model: Network in evaluation mode, with logits (n, classes).
        data: Inputs and labels, or batches of them in a fixed order.
        kind: Against the likeliest other class, or against all others together.
        chunk: Inputs at a time where whole tensors are given.

    Returns:
        (n,), -1 to 1.

    Raises:
        BadInput: An unknown kind; no examples, labels out of range, or a layer in training mode.
    """
    if kind not in ("max", "sum"):
        raise BadInput(f"kind={kind!r} is unknown; give 'max' or 'sum'")

    def margin(logits: Tensor, y: Tensor) -> Tensor:
        p = logits.softmax(-1)
        own = p.gather(1, y[:, None])[:, 0]
        if kind == "sum":
            return 1 - 2 * own
        return p.scatter(1, y[:, None], -1.0).amax(1) - own

    return _over(model, data, margin, chunk)


class ForgettingTracker:
    """Counts how often each example goes from right to wrong between its visits in training.

    Feed it the predictions of each batch before the update. An example that was never right scores infinity.

    Source: Toneva et al., arXiv 1812.05159, section 2; initial state as in the official code of 2107.07075.

    Args:
        n: Number of examples.

    Example:
        >>> tracker = ForgettingTracker(2)
        >>> for right in ([1, 0], [0, 0], [1, 0], [0, 0], [0, 0], [1, 0]):
        ...     tracker.update(torch.tensor([0, 1]), torch.tensor(right).bool())
        >>> tracker.scores().tolist()
        [2.0, inf]
    """

    def __init__(self, n: int) -> None:
        self._before = torch.zeros(n, dtype=torch.bool)
        self._ever = torch.zeros(n, dtype=torch.bool)
        self._events = torch.zeros(n, dtype=torch.float64)

    def update(self, indices: Tensor, correct: Tensor) -> None:
        """Take in one batch.

        Args:
            indices: (b,) positions of the examples, without repetition.
            correct: (b,) whether each was classified correctly.

        Raises:
            BadInput: A repeated or unknown position.
        """
        indices, correct = indices.cpu(), correct.cpu().bool()
        n = len(self._events)
        if len(indices) and not (int(indices.min()) >= 0 and int(indices.max()) < n):
            raise BadInput(f"indices go from {int(indices.min())} to {int(indices.max())}; pass 0 to {n - 1}")
        if len(torch.unique(indices)) < len(indices):
            raise BadInput("indices repeat within an update; pass each example once a batch")
        self._events[indices] += (self._before[indices] & ~correct).double()
        self._before[indices] = correct
        self._ever[indices] |= correct

    def scores(self) -> Scores:
        """Return the number of forgetting events of each example, infinity where it was never right."""
        never = ~self._ever.numpy()
        counts: Scores = self._events.numpy().copy()
        counts[never] = math.inf
        return counts

    @staticmethod
    def merge(trackers: Sequence[ForgettingTracker]) -> Scores:
        """Average the scores of several runs; infinite in one is infinite in the mean.

        Args:
            trackers: Runs over the same examples.

        Returns:
            (n,).

        Raises:
            BadInput: No trackers.
        """
        if not trackers:
            raise BadInput("trackers is empty; pass at least one run")
        return np.asarray(np.mean([t.scores() for t in trackers], axis=0))


@dataclass(frozen=True)
class ScoreTable:
    """Scores of several networks at several times in training.

    Attributes:
        steps: Numbers of updates at which the scores were taken.
        values: Name of the score to (steps, runs, n).
    """

    steps: tuple[int, ...]
    values: Mapping[str, Scores]

    def _at(self, score: str, step: int) -> Scores:
        if score not in self.values:
            raise BadInput(f"score={score!r} is not in the table; it has {', '.join(self.values)}")
        if step not in self.steps:
            raise BadInput(f"step={step} is not in the table; it has {', '.join(map(str, self.steps))}")
        rows: Scores = self.values[score][self.steps.index(step)]
        return rows

    def mean(self, score: str, *, step: int) -> Scores:
        """Average over the runs.

        Args:
            score: Name.
            step: Number of updates.

        Returns:
            (n,).

        Raises:
            BadInput: A score or step that is not in the table.
        """
        return np.asarray(self._at(score, step).mean(0))

    def split_half(self, score: str, *, step: int) -> float | None:
        """Correlate the means of even and odd runs: how far the ranking depends on the networks.

        Args:
            score: Name.
            step: Number of updates.

        Returns:
            Spearman's rank correlation; None where a half is constant.

        Raises:
            BadInput: Fewer than two runs, or a score or step that is not in the table.
        """
        rows = self._at(score, step)
        if len(rows) < 2:
            raise BadInput(f"the table holds {len(rows)} run; score at least 2 to compare halves")
        return spearman(rows[::2].mean(0), rows[1::2].mean(0))


_SCORES: Mapping[str, Callable[[nn.Module, Tensor, Tensor], Tensor]] = {
    "el2n": lambda model, x, y: el2n(model, (x, y)),
    "grand": grand,
    "margin": lambda model, x, y: margin_score(model, (x, y)),
}


def score_ensemble(
    make_model: Callable[[int], nn.Module],
    train: Callable[[Sequence[nn.Module], Sequence[int]], Snapshots],
    data: tuple[Tensor, Tensor],
    *,
    scores: Sequence[str] = ("el2n", "grand"),
    at_steps: Sequence[int],
    runs: int = 10,
    seed: int = 0,
) -> ScoreTable:
    """Score every example with several networks, each from its own start, at chosen times in training.

    Every snapshot is checked: it must be the step that was asked for, step 0 must hold exactly the initial weights
    and no later step may. A restore that silently returned the wrong weights is what made the published scores at
    initialisation look useful (arXiv 2303.14753).

    Args:
        make_model: Makes a network from a seed.
        train: Takes the networks and `at_steps`; returns pairs of step and networks in that order, such as the
            items of `train_fixed_steps`. The networks that it is given may change.
        data: Inputs (n, ...) and labels (n,).
        scores: Any of el2n, grand, margin.
        at_steps: Numbers of updates, increasing.
        runs: Number of networks; the paper uses 10.
        seed: Networks are made with seeds seed to seed + runs - 1. Use others for the final training.

    Returns:
        Table of scores.

    Raises:
        BadInput: An unknown score, steps that do not increase, or snapshots of other steps or weights.
    """
    unknown = [s for s in scores if s not in _SCORES]
    if unknown:
        raise BadInput(f"scores={unknown[0]!r} is unknown; give any of {', '.join(_SCORES)}")
    if runs < 1 or not at_steps or list(at_steps) != sorted(set(at_steps)):
        raise BadInput(f"runs={runs}, at_steps={list(at_steps)}: pass runs>=1 and increasing steps")
    x, y = data
    models = [make_model(seed + r) for r in range(runs)]
    fresh = [[p.detach().clone() for p in m.parameters()] for m in models]
    values: dict[str, list[Scores]] = {name: [] for name in scores}
    seen: list[int] = []
    for step, trained in train(models, at_steps):
        if step not in at_steps:
            continue  # such as the end of the run, which nobody asked for
        _check_snapshot(step, trained, fresh)
        seen.append(step)
        for name in scores:
            rows = [_SCORES[name](m.eval(), x, y).double().cpu().numpy() for m in trained]
            values[name].append(np.stack(rows))
    if seen != list(at_steps):
        raise BadInput(f"train returned steps {seen} where {list(at_steps)} were asked for; return each once, in order")
    return ScoreTable(tuple(at_steps), {name: np.stack(rows) for name, rows in values.items()})


def _check_snapshot(step: int, trained: Sequence[nn.Module], fresh: Sequence[Sequence[Tensor]]) -> None:
    for model, start in zip(trained, fresh, strict=True):
        same = all(torch.equal(p.cpu(), s.cpu()) for p, s in zip(model.parameters(), start, strict=True))
        if same != (step == 0):
            found = "the initial weights" if same else "other weights than the initial ones"
            raise BadInput(f"train returned {found} as step {step}; check how snapshots are kept and restored")


def select(
    scores: ArrayLike,
    keep: float,
    *,
    mode: Literal["max", "min", "offset", "random"] = "max",
    offset: float = 0.0,
    labels: ArrayLike | None = None,
    seed: int = 0,
) -> NDArray[np.int64]:
    """Choose the part of the examples to keep.

    Source: arXiv 2107.07075, sections 3 and 4 (highest scores; windows by offset).

    Args:
        scores: (n,); infinite is allowed.
        keep: Part to keep, above 0 to 1.
        mode: Highest scores, lowest, a window of the increasing order that starts at `offset`, or at random.
        offset: Part of the examples below the window, 0 to 1 - keep.
        labels: (n,); if given, each class keeps the same part of its examples.
        seed: Breaks ties, and draws at random.

    Returns:
        Increasing positions, round(keep n) of them.

    Raises:
        BadInput: NaN scores, keep or offset out of range, an unknown mode, labels of another length.

    Example:
        >>> select([0.3, 0.1, 0.9, 0.2], 0.5).tolist(), select([0.3, 0.1, 0.9, 0.2], 0.5, mode="min").tolist()
        ([0, 2], [1, 3])
    """
    values = np.asarray(scores, dtype=np.float64)
    if np.isnan(values).any():
        raise BadInput(f"scores holds {int(np.isnan(values).sum())} NaN; score every example first")
    if not 0.0 < keep <= 1.0:
        raise BadInput(f"keep={keep} is outside 0 to 1; pass the part of the examples to keep")
    if mode not in ("max", "min", "offset", "random"):
        raise BadInput(f"mode={mode!r} is unknown; give 'max', 'min', 'offset' or 'random'")
    if offset < 0 or offset + keep > 1 + 1e-9 or (offset > 0 and mode != "offset"):
        raise BadInput(f"offset={offset} with keep={keep}, mode={mode!r}: pass mode='offset' and offset + keep <= 1")
    rng = np.random.default_rng(seed)
    lottery = rng.random(len(values))
    order = np.argsort(lottery) if mode == "random" else np.lexsort((lottery, values))
    begin = 1.0 - keep if mode == "max" else offset
    if labels is None:
        return _window(order, keep, begin)
    classes = np.asarray(labels)
    if classes.shape != values.shape:
        raise BadInput(f"labels has shape {classes.shape}, scores {values.shape}; pass one label an example")
    own = [order[classes[order] == c] for c in np.unique(classes)]
    return np.sort(np.concatenate([_window(part, keep, begin) for part in own]))


def _window(order: NDArray[np.int64], keep: float, begin: float) -> NDArray[np.int64]:
    n = len(order)
    k = round(keep * n)
    first = min(round(begin * n), n - k)
    return np.sort(order[first : first + k])
