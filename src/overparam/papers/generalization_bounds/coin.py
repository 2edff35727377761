"""A hidden coin decides whether the hypothesis is the target; nothing that a bound may see depends on it."""

from __future__ import annotations

from typing import Any

import numpy as np

from overparam.methods.theory.estimability import estimability_gap

Array = np.ndarray[Any, Any]
STATISTICS = ("balance", "balance on sample", "changes", "low frequencies", "agreement with the nearest")
TRAINED = ("logistic regression", "perceptron")
SLACK = 0.02  # four standard deviations of the error of a random interpolator, 0.5 / sqrt(10,000)
PROJECTIONS = 64


def draw_trials(trials: int, d: int, n: int, seed: int) -> tuple[Array, Array, Array, Array]:
    """Draw coins, hypotheses, samples and errors.

    The target f is uniform on {0, 1}^d and n inputs are drawn with their labels. Heads: the algorithm, biased to f,
    returns f. Tails: it returns an interpolator that is uniform off the sample. Coins are independent: with exactly
    half of them heads, what one half of the trials shows would tell on the other.

    Args:
        trials: How many.
        d: Size of the domain.
        n: Size of the sample.
        seed: Of the draws.

    Returns:
        Coins (trials,), hypotheses (trials, d), sampled inputs (trials, n) and errors (trials,).
    """
    rng = np.random.default_rng([seed, 23])
    heads = rng.random(trials) < 0.5
    f = rng.integers(0, 2, (trials, d), dtype=np.int8)
    sample = rng.integers(0, d, (trials, n))
    other = rng.integers(0, 2, (trials, d), dtype=np.int8)
    np.put_along_axis(other, sample, np.take_along_axis(f, sample, 1), 1)
    h = np.where(heads[:, None], f, other)
    return heads, h, sample, (h != f).mean(1)


def statistics_of(h: Array, sample: Array, seed: int) -> dict[str, Array]:
    """Compute what a bound may see: measures of (h, S), and random projections for estimators that are trained."""
    d = h.shape[1]
    signs = 2.0 * h.astype(np.float32) - 1
    on_sample = np.take_along_axis(signs, sample, 1)
    waves = np.cos(np.pi * np.outer((np.arange(d) + 0.5) / d, np.arange(1, 11))).astype(np.float32)
    projection = np.random.default_rng([seed, 29]).normal(size=(d, PROJECTIONS)).astype(np.float32) / np.sqrt(d)
    labelled = (on_sample[:, :, None] * projection[sample]).sum(1) * np.sqrt(d / sample.shape[1])
    return {
        "balance": signs.mean(1),
        "balance on sample": on_sample.mean(1),
        "changes": (signs[:, 1:] != signs[:, :-1]).mean(1),
        "low frequencies": ((signs @ waves) ** 2).sum(1) / d,
        "agreement with the nearest": (signs * np.take_along_axis(on_sample, _nearest(sample, d), 1)).mean(1),
        "projections": np.concatenate([signs @ projection, labelled], 1),
    }


def _nearest(sample: Array, d: int) -> Array:
    """Position in the sample of the input that is nearest on the line, for each of the d inputs."""
    order = sample.argsort(1, kind="stable")
    ordered = np.take_along_axis(sample, order, 1)
    ends = (ordered[:, :-1] + ordered[:, 1:]) / 2
    return np.stack([own[np.searchsorted(cut, np.arange(d))] for own, cut in zip(order, ends, strict=True)])


def coin_trials(trials: int, d: int, n: int, seed: int, sabotage: bool) -> dict[str, float]:
    """Try to tell the coin, and to estimate the error, from (h, S) alone."""
    from sklearn.metrics import roc_auc_score

    heads, h, sample, errors = draw_trials(trials, d, n, seed)
    seen = statistics_of(h, sample, seed)
    features = np.concatenate([np.stack([seen[s] for s in STATISTICS], 1), seen["projections"]], 1)
    if sabotage:
        features = np.concatenate([features, heads[:, None]], 1)
        seen["balance"] = heads.astype(float)
    areas = {name: float(roc_auc_score(heads, seen[name])) for name in STATISTICS}
    areas |= {name: float(roc_auc_score(heads, _cross_fitted(name, features, heads, seed))) for name in TRAINED}
    gap = estimability_gap(errors, features, epsilon=0.25 - SLACK)
    tails = errors[~heads]
    return {
        **{f"area {name}": area for name, area in areas.items()},
        "failure": gap.failure,
        "constant_failure": gap.constant_failure,
        "tails_error": float(tails.mean()),
        "tails_spread": float(tails.std()),
    }


def _cross_fitted(name: str, features: Array, heads: Array, seed: int) -> Array:
    """Scores of each half by a classifier trained on the other."""
    from sklearn.linear_model import LogisticRegression

    scores, first = np.zeros(len(heads)), np.arange(len(heads)) % 2 == 0
    for half in (first, ~first):
        mean, spread = features[~half].mean(0), features[~half].std(0) + 1e-9
        known, held_out = (features[~half] - mean) / spread, (features[half] - mean) / spread
        if name == "logistic regression":
            own = LogisticRegression(C=0.1, max_iter=200).fit(known, heads[~half])
            scores[half] = own.decision_function(held_out)
        else:
            scores[half] = _perceptron(known, heads[~half], held_out, seed)
    ranks = np.zeros(len(heads))
    for half in (first, ~first):  # each half has a classifier, and scores, of its own
        ranks[half] = scores[half].argsort().argsort() / half.sum()
    return ranks


def _perceptron(x: Array, y: Array, held_out: Array, seed: int) -> Array:
    import torch

    from overparam.models.mlp import mlp

    draw = torch.Generator().manual_seed(seed)
    model = mlp(x.shape[1], [32], 2, generator=draw)
    inputs, labels = torch.from_numpy(x).float(), torch.from_numpy(y).long()
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3, weight_decay=1e-3)
    for _ in range(30):
        for rows in torch.split(torch.randperm(len(x), generator=draw), 128):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(model(inputs[rows]), labels[rows]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    with torch.no_grad():
        logits = model(torch.from_numpy(held_out).float())
    scores: Array = (logits[:, 1] - logits[:, 0]).numpy()
    return scores
