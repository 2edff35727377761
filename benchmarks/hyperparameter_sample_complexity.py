"""Hyper-parameter tuning over tasks: the whole exact curve against grids, random search, TPE and a Gaussian process."""

from __future__ import annotations

import time

import numpy as np
import optuna
from harness import Result, compare, figure
from skopt import gp_minimize

from overparam.methods.tuning.data_driven_tuner import DataDrivenTuner
from overparam.methods.tuning.exact_duals import exact_graph_kernel
from overparam.papers.hyperparameter_sample_complexity.laws import features_task, graph_task

TASKS = 16


def _average(tasks: list) -> object:
    def utility(alphas: np.ndarray) -> np.ndarray:
        return np.mean([(t.predict(alphas) == t.target).mean(1) for t in tasks], axis=0)

    return utility


def _needle(lo: float, hi: float) -> list:
    """Tasks that are right only on an interval of a ten-thousandth of the range."""

    class Needle:
        target = np.ones(4, dtype=int)

        def __init__(self, place: float) -> None:
            self.place = place

        def predict(self, alphas: np.ndarray) -> np.ndarray:
            inside = np.abs(alphas - self.place) < 0.5e-4 * (hi - lo)
            return np.repeat(inside[:, None], 4, axis=1).astype(int)

    rng = np.random.default_rng(0)
    return [Needle(rng.uniform(lo, hi)) for _ in range(200)]


def _searches(name: str, tasks: list, exact: list, lo: float, hi: float) -> list[Result]:
    """Values reached, and the time of the full curve against that of 100 trials of TPE."""
    utility = _average(tasks)
    start = time.perf_counter()
    best = DataDrivenTuner(lo, hi).fit([t.exact() for t in exact]).utility_
    seconds = time.perf_counter() - start
    results = [figure(f"{name}: exact curve of {TASKS} tasks", seconds, "s")]
    adaptive = DataDrivenTuner(lo, hi).fit([t.predict for t in tasks], [t.target for t in tasks])
    assert adaptive.utility_ <= best + 1e-12
    spent = adaptive.n_evals_ // TASKS
    found = {"bisection": adaptive.utility_, "grid of the same budget": utility(np.linspace(lo, hi, spent)).max()}
    found["random, same budget"] = utility(np.random.default_rng(0).uniform(lo, hi, spent)).max()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    start = time.perf_counter()
    study.optimize(lambda trial: float(utility(np.array([trial.suggest_float("a", lo, hi)]))[0]), n_trials=100)
    found["TPE, 100 trials"] = study.best_value
    results.append(figure(f"{name}: TPE, 100 trials of the same average", time.perf_counter() - start, "s"))
    process = gp_minimize(lambda a: -float(utility(np.array(a))[0]), [(lo, hi)], n_calls=40, random_state=0)
    found["Gaussian process, 40 trials"] = -process.fun
    assert all(value <= best + 1e-12 for value in found.values()), (best, found)
    return results + [figure(f"{name}: below the exact best, {k}", best - v, "") for k, v in found.items()]


def main() -> list[Result]:
    """Compare values reached, time of a curve against a grid of equal resolution, and growth at three sizes."""
    features, graphs = ([make(s) for s in range(TASKS)] for make in (features_task, graph_task))
    results = _searches("mixed activations", features, features, 0.0, 1.0)
    results += _searches("graph kernel", graphs, graphs, -0.9, 1.0)
    for nodes in (20, 30, 40):
        task = graph_task(0, nodes=nodes)
        curve = task.exact()
        fine = np.linspace(-0.9, 1.0, 8_001)

        def grid(task: object = task, fine: np.ndarray = fine) -> np.ndarray:
            return np.concatenate([(task.predict(p) == task.target).mean(1) for p in np.array_split(fine, 80)])

        middles = 0.5 * (curve.edges[1:] + curve.edges[:-1])
        np.testing.assert_allclose(curve(middles), (task.predict(middles) == task.target).mean(1))
        assert curve.argmax().value >= grid().max()

        def exact(task: object = task) -> object:
            return exact_graph_kernel(task.similarity, task.y[:10], task.target, degree=6, lo=-0.9, hi=1.0)

        name = f"exact curve of a graph of {nodes} nodes"
        results.append(compare(name, exact, grid, peer_name="grid of 8,001 points", repeats=3))
    missed = sum(DataDrivenTuner(0.0, 1.0).fit([n.predict], [n.target]).utility_ < 1 for n in _needle(0.0, 1.0))
    results.append(figure("needle of a ten-thousandth of the range: missed by bisection", 100 * missed / 200, "%"))
    return results
