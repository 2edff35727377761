"""Experiments of arXiv 2310.02541: one step that fits everything, and the steps after which the network has grokked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from sklearn.linear_model import LogisticRegression

from overparam.data.xor_clusters import Batch
from overparam.lab import Drawing, Progress, Seeds, Trials, experiment, figure, grid
from overparam.methods.theory.dual_descent import Gates, History
from overparam.methods.theory.xor_grokking import alignment, step_one_linear
from overparam.papers.xor_grokking import drawing
from overparam.papers.xor_grokking.training import LOGGED, Row, Setting, accuracies, batches, curves, trained

SEEDS = Seeds(smoke=5, laptop=10, paper=100)
TINY = 1e-10  # standard deviation of the first weights: units move by 1e-2 in the first step
BINS = np.linspace(-1, 1, 41)
LARGE = 3e-3  # as large as what a unit gains in a hundred steps
LAZY = "the start is large, so that the network stays close to its linearisation"


def _setting(n: int, p: int, signal: float, m: int, steps: int, flip: float = 0.1) -> Setting:
    """Means with |mu|^2 = signal sqrt(p), and a step of 80/p."""
    logged = tuple(step for step in LOGGED if step <= steps)
    return Setting(
        n,
        p,
        signal * math.sqrt(p),
        flip,
        m,
        lr=80 / p,
        start=TINY,
        steps=steps,
        log_steps=logged,
        tested=max(500, 2 * n),
    )


@experiment(
    smoke=grid(n=[200], p=[40_000], signal=[4.0], m=[100], steps=[100]),
    laptop=grid(n=[400], p=[40_000], signal=[4.0], m=[300], steps=[300]),
    paper=grid(n=[200, 400], p=[40_000, 100_000], signal=[4.0], m=[1000], steps=[300]),
    seeds=SEEDS,
    batched=True,
)
def course(n: int, p: int, signal: float, m: int, steps: int, seeds: Sequence[int]) -> list[Row]:
    """Train from a tiny start and follow training, flipped and clean test labels."""
    return trained(_setting(n, p, signal, m, steps), seeds, curves)


@experiment(
    smoke=grid(n=[50, 100], flip=[0.1]),
    laptop=grid(n=[100, 200, 400, 800], flip=[0.02, 0.1]),
    paper=grid(n=[100, 200, 400, 800, 1600], flip=[0.02, 0.1]),
    seeds=Seeds(smoke=10, laptop=40, paper=100),
    batched=True,
)
def scaling(n: int, flip: float, seeds: Sequence[int], progress: Progress) -> list[Row]:
    """Keep to the assumptions of the theorem with all constants 1, and stop after sqrt(n) steps."""
    progress.step(0, 1, f"{n} points, {flip:.0%} flipped")
    p, m, steps = math.ceil(n**5.02), 100, math.isqrt(n)
    squared = n**0.51 * math.sqrt(p)
    lr = 1 / (n * p)
    start = lr * squared / (n * m**1.5 * p)
    setting = Setting(n, p, squared, flip, m, lr, start, steps, log_steps=(1, steps), tested=300)
    rows = trained(setting, seeds, accuracies)
    return [{**row, "log_n": math.log(n), "dimension": float(p)} for row in rows]


@experiment(
    smoke=grid(n=[100], snr=[100, 1600]),
    laptop=grid(n=[400], snr=[100, 200, 400, 800, 1600]),
    paper=grid(n=[400, 800], snr=[100, 200, 400, 800, 1600]),
    seeds=SEEDS,
    batched=True,
)
def error_rate(n: int, snr: int, seeds: Sequence[int]) -> list[Row]:
    """Vary n |mu|^4 / p at a dimension that lets the first step fit all labels."""
    p = 400_000
    setting = Setting(n, p, math.sqrt(snr * p / n), 0.1, 200, 80 / p, TINY, steps=50, log_steps=(1, 50))
    rows = trained(setting, seeds, accuracies)
    for row in rows:
        wrong = row["error_last"] / 100 * setting.tested
        exponent = -math.log(2 * (wrong + 0.5) / (setting.tested + 1))  # half a point keeps it finite
        row |= {"log_exponent": math.log(exponent) if exponent > 0 else None, "log_snr": math.log(snr)}
    return rows


@experiment(
    smoke=grid(n=[200], p=[40_000], signal=[4.0], m=[500], steps=[50]),
    laptop=grid(n=[200], p=[40_000], signal=[4.0], m=[2000], steps=[100]),
    paper=grid(n=[400], p=[40_000, 100_000], signal=[4.0], m=[2000], steps=[300]),
    seeds=SEEDS,
    batched=True,
    sabotage=LAZY,
)
def mechanism(
    n: int, p: int, signal: float, m: int, steps: int, seeds: Sequence[int], progress: Progress, sabotage: bool = False
) -> list[Row]:
    """Compare the first step with its closed form, then follow the oddness of the function and the units."""
    progress.step(0, 1, f"{m} units")
    setting = replace(_setting(n, p, signal, m, steps), start=LARGE if sabotage else TINY)

    def read(history: History, s: int, train: Batch, test: Batch) -> Row:
        linear = step_one_linear(train.x, train.y, test.x, lr=setting.lr)
        outputs = history.test_outputs[s]
        first, shown = (int(np.searchsorted(history.steps, step)) for step in (1, 20))
        assert history.cosines is not None
        units = [alignment(c, history.second[s]) for c in history.cosines[s]]
        matched, crossed = [u.matched for u in units], [u.crossed for u in units]
        drawn = {"first": units[first], "later": units[shown]}
        bars = {f"bars_{k}": np.histogram(u.cosines[u.positive, 0], BINS)[0].tolist() for k, u in drawn.items()}
        return {
            "correlation_first": float(np.corrcoef(outputs[first], linear)[0, 1]),
            "slope_first": float(outputs[first] @ linear / (linear @ linear)),
            "odd_first": float(history.odd_fraction[s, first]),
            "odd_last": float(history.odd_fraction[s, -1]),
            "matched_gain": matched[-1] - matched[first],
            "matched_lead": matched[-1] - crossed[-1],
            "at": history.steps.tolist(),
            "odd": history.odd_fraction[s].tolist(),
            "matched": matched,
            "crossed": crossed,
            **bars,
        }

    return trained(setting, seeds, read)


ARMS = ["network", "first step", "logistic", "logistic with offset", "frozen gates"]


@experiment(
    smoke=grid(n=[200], p=[40_000], signal=[4.0], steps=[50], arm=ARMS),
    laptop=grid(n=[400], p=[40_000], signal=[4.0], steps=[300], arm=ARMS),
    paper=grid(n=[400], p=[40_000, 100_000], signal=[4.0], steps=[300], arm=ARMS),
    seeds=SEEDS,
    batched=True,
)
def rivals(n: int, p: int, signal: float, steps: int, arm: str, seeds: Sequence[int]) -> list[Row]:
    """Train linear rules, and the network with frozen gates, on the same data as the network."""
    own = _setting(n, p, signal, 100, steps)
    if arm in ("network", "frozen gates"):
        gates: Gates = "moving" if arm == "network" else "frozen"
        rows = trained(replace(own, gates=gates, log_steps=(1, steps)), seeds, accuracies)
        names = {"test": "test_last", "train_acc": "train_last", "flipped_misfits": "flipped_misfits"}
        return [{ours: row[theirs] for ours, theirs in names.items()} for row in rows]
    return [_linear(arm, own, *batches(own, seed)) for seed in seeds]


def _linear(arm: str, setting: Setting, train: Batch, test: Batch) -> Row:
    if arm == "first step":
        scores = [step_one_linear(train.x, train.y, b.x, lr=setting.lr) for b in (train, test)]
    else:
        unit, used = math.sqrt(setting.p), setting.n + 2  # points of about unit length; training points end there
        rule = LogisticRegression(C=1e4, fit_intercept=arm == "logistic with offset", max_iter=1000)
        rule.fit(train.x[:, :used] / unit, train.y)
        scores = [rule.decision_function(b.x[:, :used] / unit) for b in (train, test)]
    right = train.y * scores[0] > 0
    return {
        "test": 100 * float((test.y_clean * scores[1] > 0).mean()),
        "train_acc": 100 * float(right.mean()),
        "flipped_misfits": int((~right[train.flipped]).sum()),
    }


SIGNALS = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0]


@experiment(
    smoke=grid(n=[100], signal=[1.0, 16.0], flip=[0.1], start=[TINY], steps=[100])
    + grid(n=[100], signal=[4.0], flip=[0.1], start=[TINY, LARGE], steps=[100]),
    laptop=grid(n=[50, 100, 200, 400], signal=SIGNALS, flip=[0.1], start=[TINY], steps=[100])
    + grid(n=[200], signal=[4.0], flip=[0.0, 0.05, 0.2, 0.3, 0.4], start=[TINY], steps=[100])
    + grid(n=[100], signal=[4.0], flip=[0.1], start=[TINY, LARGE], steps=[300]),
    paper=grid(n=[50, 100, 200, 400, 800], signal=SIGNALS, flip=[0.1], start=[TINY], steps=[300])
    + grid(n=[200], signal=[4.0], flip=[0.0, 0.05, 0.2, 0.3, 0.4], start=[TINY], steps=[300])
    + grid(n=[100], signal=[4.0], flip=[0.1], start=[TINY, LARGE], steps=[300]),
    seeds=SEEDS,
    batched=True,
)
def boundary(n: int, signal: float, flip: float, start: float, steps: int, seeds: Sequence[int]) -> list[Row]:
    """Leave the region of the theorem: means too long for the dimension, a large start, more flips."""
    p = 20_000
    setting = Setting(n, p, signal * math.sqrt(p), flip, 100, 80 / p, start, steps, log_steps=(1, steps), tested=500)
    ratio = p / (math.sqrt(n / 2) * setting.squared_mean)
    return [{**row, "dimension_ratio": ratio} for row in trained(setting, seeds, accuracies)]


@figure(on=course)
def accuracy_by_step(trials: Trials) -> Drawing:
    """Training and test accuracy by step."""
    return drawing.accuracy_by_step(trials)


@figure(on=mechanism)
def from_odd_to_even(trials: Trials) -> Drawing:
    """Oddness and alignment by step."""
    return drawing.from_odd_to_even(trials)


@figure(on=mechanism)
def units(trials: Trials) -> Drawing:
    """Cosines of units with the mean of their label."""
    return drawing.units(trials)


@figure(on=scaling)
def by_size(trials: Trials) -> Drawing:
    """Test accuracy in the scaling of the theorem."""
    return drawing.by_size(trials)


@figure(on=error_rate)
def exponential_error(trials: Trials) -> Drawing:
    """Error by signal over noise."""
    return drawing.exponential_error(trials)


@figure(on=boundary)
def phase_map(trials: Trials) -> Drawing:
    """Where the network fits at once, and where it generalises."""
    return drawing.phase_map(trials)
