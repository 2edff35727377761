"""Experiments of arXiv 1906.05271: the price of not fitting rare examples, exactly, in clusters and on digits."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from overparam.lab import Drawing, Progress, Seeds, Trials, experiment, figure, grid
from overparam.methods.measures.knn_memorization import knn_memorization_exact
from overparam.methods.measures.memorization import memorization_from_correctness, subset_masks
from overparam.methods.theory.long_tail import FrequencyPrior
from overparam.methods.theory.long_tail_simulation import DiscreteTrials, simulate_discrete
from overparam.papers.long_tail import drawing
from overparam.papers.long_tail.digits import FRACTION, accuracies, bank_of, halves, read_task, without
from overparam.papers.long_tail.limits import Setting, train_within
from overparam.papers.long_tail.scales import BANK, LARGE, LONG, NOISES, SMALL, learners, limits, removals
from overparam.papers.long_tail.worlds import judge, learn, scenes
from overparam.stats import spearman

Row = dict[str, Any]
LABELS = 10
SKIPS = (0.0, 0.25, 0.5, 0.75, 1.0)
DRAWS = 500_000  # values of the marginal prior
REDRAWN = "subsets drawn anew after training, so that scores say nothing"


@functools.lru_cache(maxsize=64)
def _tau(size: int, seed: int) -> float:
    prior = FrequencyPrior.zipf(size).sampled(draws=-(-DRAWS // size), seed=seed)
    return prior.tau(size, 1)


def _simulated(size: int, learner: Any, data_sets: int, seed: int, noise: float = 0.0) -> DiscreteTrials:
    return simulate_discrete(
        FrequencyPrior.zipf(size), n=size, n_classes=LABELS, learner=learner, n_rep=data_sets, seed=seed,
        label_noise=noise,
    )  # fmt: skip


@experiment(
    smoke=grid(size=[500], data_sets=[400]),
    laptop=grid(size=[1000, 5000], data_sets=[400]),
    paper=grid(size=[1000, 5000, 50_000], data_sets=[400]),
    seeds=Seeds(smoke=4, laptop=5, paper=10),
    sabotage="the average frequency 1/N takes the place of tau",
)  # fmt: skip
def price(size: int, data_sets: int, seed: int, sabotage: bool = False) -> Row:
    """Guess some of the singletons and compare the error above the optimum with tau times their number."""
    tau = 1 / size if sabotage else _tau(size, seed)
    found = [_simulated(size, f"skip:{q}", data_sets, seed) for q in SKIPS]
    excess = [float((f.err - f.opt).mean()) for f in found]
    unfitted = [float(f.errn[:, 1].mean()) for f in found]
    return {
        "excess": excess[-1],
        "relative_gap": excess[-1] / (tau * unfitted[-1]) - 1,
        "unfitted": unfitted,
        "excesses": excess,
        "tau": tau,
    }


@experiment(
    smoke=grid(size=[5000], draws=[20]), laptop=grid(size=[50_000], draws=[10]), paper=grid(size=[50_000], draws=[40]),
    seeds=Seeds(smoke=4, laptop=5, paper=10),
)  # fmt: skip
def illustration(size: int, draws: int, seed: int) -> Row:
    """Closed forms under Zipf's law with as many kinds as examples."""
    prior = FrequencyPrior.zipf(size).sampled(draws=draws, seed=seed)
    singletons, opt = prior.expected_counts(size, 1), prior.opt_error(size, LABELS)
    cost = prior.excess(size, {1: (1 - 1 / LABELS) * singletons})
    return {
        "n_tau": size * prior.tau(size, 1),
        "singleton_share": singletons / size,
        "optimum": opt,
        "cost": cost,
        "cost_ratio": cost / opt,
    }


@experiment(
    smoke=grid(n=[300], kind=["zipf"], parameter=[0.0, 1.0, 2.0])
    + grid(n=[300], kind=["two-level"], parameter=[1.0, 20.0, 50.0, 200.0]),
    laptop=grid(n=[5000], kind=["zipf"], parameter=[0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0])
    + grid(n=[5000], kind=["two-level"], parameter=[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 200.0]),
    paper=grid(n=[50_000], kind=["zipf"], parameter=[0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0])
    + grid(n=[50_000], kind=["two-level"], parameter=[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 200.0]),
)  # fmt: skip
def middle_mass(n: int, kind: str, parameter: float) -> Row:
    """Exact tau with more and less mass around 1/n: Zipf exponents, and two levels with a gap in between."""
    prior = FrequencyPrior.zipf(n, parameter) if kind == "zipf" else FrequencyPrior.two_level(n, parameter)
    tau, floor = n * prior.tau(n, 1), n * prior.singleton_floor(n)
    return {
        "n_tau": tau,
        "floor": floor,
        "weight": prior.weight(1 / (3 * n), 2 / n),
        "shortfall": max(0.0, floor - tau),
        "off_gap": tau * parameter - 1 if kind == "two-level" else None,
        "cost": prior.excess(n, {1: (1 - 1 / LABELS) * prior.expected_counts(n, 1)}),
    }


@experiment(
    smoke=grid(size=[300], data_sets=[400], noise=NOISES),
    laptop=grid(size=[2000], data_sets=[400], noise=NOISES),
    paper=grid(size=[2000], data_sets=[400], noise=NOISES),
    seeds=Seeds(smoke=4, laptop=5, paper=10),
)
def wrong_labels(size: int, data_sets: int, noise: float, seed: int) -> Row:
    """Skip singletons with probability q where some labels are wrong; the error is against the true labels."""
    keep, half, skip = (_simulated(size, f"skip:{q}", data_sets, seed, noise) for q in (0.0, 0.5, 1.0))
    errors = [float(f.err.mean()) for f in (keep, half, skip)]
    unit = _tau(size, seed) * float(keep.counts[:, 1].mean())
    return {
        "slope": (errors[2] - errors[0]) / unit,
        "bend": (errors[0] + errors[2]) / 2 - errors[1],
        "error_keep": errors[0],
        "error_skip": errors[2],
    }


@experiment(
    smoke=grid(size=[500], data_sets=[400], limit=["memorisation"], level=[0.3]) + grid(
        size=[500], data_sets=[400], limit=["privacy"], level=[1.0]),
    laptop=grid(size=[2000], data_sets=[400], limit=["memorisation"], level=[0.0, 0.3, 0.6])
    + grid(size=[2000], data_sets=[400], limit=["privacy"], level=[0.5, 1.0, 2.0]),
    paper=grid(size=[2000], data_sets=[400], limit=["memorisation"], level=[0.0, 0.3, 0.6])
    + grid(size=[2000], data_sets=[400], limit=["privacy"], level=[0.5, 1.0, 2.0]),
    seeds=Seeds(smoke=4, laptop=5, paper=10),
)  # fmt: skip
def bounded(size: int, data_sets: int, limit: str, level: float, seed: int) -> Row:
    """Fit singletons as far as a bound allows: on memorisation, or on epsilon by randomised response of labels."""
    chance = 1 / LABELS
    grown = math.exp(level)
    fit = chance + level if limit == "memorisation" else grown / (grown + LABELS - 1)
    allowed = fit if limit == "memorisation" else min(1.0, grown * chance)  # privacy: e^epsilon times without it
    found = _simulated(size, lambda counts, labels, m: np.where(counts == 1, fit, 1.0), data_sets, seed)
    excess = float((found.err - found.opt).mean())
    bound = _tau(size, seed) * float(found.counts[:, 1].mean()) * (1 - allowed)
    row = {"memorised": fit - chance, "excess": excess, "bound": bound}
    return row | {"margin": excess - bound, "relative_gap": excess / bound - 1}


@experiment(
    smoke=learners("smoke"), laptop=learners("laptop"), paper=learners("paper"),
    seeds=Seeds(smoke=4, laptop=5, paper=10), batched=True,
)  # fmt: skip
def coupling(kinds: int, n: int, learner: str, strength: float, seeds: Sequence[int]) -> list[Row]:
    """Learners that fit more or less of a sample of clusters: error above the optimum, coupling and bound."""
    return [
        judge(scene, learn(learner, strength, scene.sample, seed))
        for scene, seed in zip(scenes("one", kinds, n, seeds), seeds, strict=True)
    ]


@experiment(
    smoke=limits("smoke"), laptop=limits("laptop"), paper=limits("paper"),
    seeds=Seeds(smoke=3, laptop=10, paper=10), batched=True, time_limit=LONG,
)  # fmt: skip
def groups(
    kinds: int, n: int, hidden: int, steps: int, private_steps: int, groups: str, limit: str, level: float,
    seeds: Sequence[int], progress: Progress,
) -> list[Row]:  # fmt: skip
    """Train networks under a limit in a world of two groups of equal mass, and take the accuracy on each."""
    found = scenes(groups, kinds, n, seeds)
    progress.step(0, 1, f"{limit} {level:g}, {len(seeds)} networks")
    setting = Setting(hidden, steps, private_steps)
    predictors, spent = train_within(limit, level, [s.sample for s in found], setting, seeds)
    return [{**judge(s, p), "epsilon": spent} for s, p in zip(found, predictors, strict=True)]


@experiment(
    smoke=grid(**SMALL), laptop=grid(**BANK), paper=grid(**LARGE),
    seeds=Seeds(smoke=4, laptop=5, paper=1), reads=("data",), sabotage=REDRAWN, time_limit=LONG,
)  # fmt: skip
def mistakes(data: str, size: int, model: str, members: int, seed: int, sabotage: bool = False) -> Row:
    """Estimate memorisation where a twentieth of the labels is wrong; compare two halves of the networks."""
    from sklearn.metrics import roc_auc_score

    task = read_task(data, size, seed)
    correct, masks = _bank(data, size, model, members, seed, sabotage)
    found = memorization_from_correctness(correct, masks).value
    one, two = (memorization_from_correctness(*half).value for half in halves(correct, masks))
    both, known = np.isfinite(one) & np.isfinite(two), np.isfinite(found)
    bound = (1 / FRACTION + 1 / (1 - FRACTION)) / (members // 2)  # without its term that vanishes with many networks
    exact = knn_memorization_exact(task.x, task.y, fraction=FRACTION)
    clean = ~task.wrong & known
    atypical = clean & (exact >= np.quantile(exact[clean], 0.9))
    return {
        "area": float(roc_auc_score(task.wrong[known], found[known])),
        "area_exact": float(roc_auc_score(task.wrong, exact)),
        "wrong": float(found[task.wrong & known].mean()),
        "clean": float(found[clean].mean()),
        "atypical": float(found[atypical].mean() - found[clean & ~atypical].mean()),
        "split_correlation": float(np.corrcoef(one[both], two[both])[0, 1]),
        "error_ratio": float(np.mean((one - two)[both] ** 2) / 2 / bound),
        "neighbour_correlation": spearman(found[known], exact[known]),
    }


def _bank(data: str, size: int, model: str, members: int, seed: int, sabotage: bool) -> tuple[Any, Any]:
    bank = bank_of(data, size, model, members, seed)
    others = subset_masks(size, members, fraction=FRACTION, seed=seed) if sabotage else bank["masks"]
    return bank["correct"], others


@experiment(
    smoke=removals(SMALL, 5), laptop=removals(BANK, 40), paper=removals(LARGE, 20),
    seeds=Seeds(smoke=4, laptop=5, paper=1), reads=("data",), sabotage=REDRAWN, time_limit=LONG,
)  # fmt: skip
def removal(
    data: str, size: int, model: str, members: int, networks: int, share: float, arm: str, seed: int,
    sabotage: bool = False,
) -> Row:  # fmt: skip
    """Train networks of fresh seeds without some right labels: the most memorised ones, or as many at random."""
    task = read_task(data, size, seed)
    found = memorization_from_correctness(*_bank(data, size, model, members, seed, sabotage)).value
    scores = np.where(np.isfinite(found), found, -1.0)  # an example without a value is not among the highest
    keep = without(scores, ~task.wrong, round(share * size), arm, networks, seed)
    return {"accuracy": float(np.mean(accuracies(task, model, keep, seed)))}


@figure(on=price)
def price_of_singletons(trials: Trials) -> Drawing:
    """Error above the optimum by the number of unfitted singletons."""
    return drawing.price(trials)


@figure(on=middle_mass)
def worth_of_a_singleton(trials: Trials) -> Drawing:
    """What a singleton stands for, by the mass around one over n."""
    return drawing.worth(trials)


@figure(on=groups)
def loss_by_group(trials: Trials) -> Drawing:
    """Accuracy lost by each group under each limit."""
    return drawing.losses(trials)


@figure(on=removal)
def cost_of_removal(trials: Trials) -> Drawing:
    """Accuracy by the share of right labels removed."""
    return drawing.removals(trials)
