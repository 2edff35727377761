"""Experiments of arXiv 1710.03667: linear students against the theory, then hidden layers and real images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from overparam.lab import Drawing, Progress, Seeds, Trials, experiment, figure
from overparam.methods.theory import linear_dynamics
from overparam.methods.theory.deep_linear import deep_linear_mode
from overparam.methods.theory.gradient_flow import SpectralFit, spectrum_report
from overparam.methods.theory.linear_teacher import LinearTeacher, simulate
from overparam.methods.theory.marchenko_pastur import Spectrum, edges
from overparam.methods.theory.rademacher import counted_norm, learned_norm, rademacher_complexity
from overparam.papers.generalization_dynamics import drawing, scales
from overparam.papers.generalization_dynamics.images import task
from overparam.papers.generalization_dynamics.networks import hidden_features, lesson, train_both_layers
from overparam.papers.generalization_dynamics.scales import SNR, TIMES

Row = dict[str, Any]
SINGLE = "one eigenvalue, the mean of those above zero, in place of their law"
EARLY = 10.0  # a hundredth of the longest time
PENALTIES = np.geomspace(1e-3, 1e2, 101)
MOMENTS = np.geomspace(1e-2, 1e3, 101)
LATE = np.append(np.geomspace(0.05, 1e6, 70), math.inf)


@experiment(**scales.DYNAMICS, seeds=Seeds(smoke=12, laptop=20, paper=20), sabotage=SINGLE)
def dynamics(
    inputs: int, alpha: float, inr: float, matrices: int, teachers: int, seed: int, sabotage: bool = False
) -> Row:
    """Errors of simulated students and of the theory at the same times."""
    found = simulate(LinearTeacher(inputs, alpha, SNR, inr), TIMES, matrices=matrices, teachers=teachers, seed=seed)
    share = min(1.0, alpha)
    law = Spectrum(np.array([max(1.0, alpha)]), np.array([share]), 1 - share) if sabotage else None
    test = linear_dynamics.generalization_error(TIMES, alpha, SNR, inr, spectrum=law)
    train = linear_dynamics.training_error(TIMES, alpha, SNR, inr, spectrum=law)
    seen, fitted = found.test.mean((0, 1)), found.train.mean((0, 1))
    return {
        "test": seen.tolist(),
        "test_theory": test.tolist(),
        "test_off": (seen / test - 1).tolist(),
        "train_off": ((fitted - train) / train[0]).tolist(),
    }


@experiment(**scales.SIZES, seeds=Seeds(smoke=4, laptop=10, paper=10))
def sizes(samples: int, alpha: float, seed: int) -> Row:
    """Overtraining and smallest eigenvalue by the number of weights, samples and variances being fixed."""
    inputs = round(samples / alpha)
    alpha = samples / inputs  # as it is, with whole numbers
    found = simulate(LinearTeacher(inputs, alpha, SNR), TIMES, matrices=4, teachers=25, seed=seed)
    test = found.test.mean((0, 1))
    gap, early = test[-1] - test.min(), test[int(np.abs(TIMES - EARLY).argmin())] - test.min()
    theory, smallest = linear_dynamics.generalization_error(TIMES, alpha, SNR), float(found.smallest.mean())
    return {
        "gap": gap,
        "early_share": early / gap,
        "gap_theory": float(theory[-1] - theory.min()),
        "smallest": smallest,
        "smallest_ratio": smallest / edges(alpha)[0] if alpha != 1 else None,
        "test": test.tolist(),
    }


@experiment(**scales.DEPTHS, seeds=Seeds(smoke=4, laptop=10, paper=10))
def depths(samples: int, alpha: float, depth: int, seed: int) -> Row:
    """Linear networks of several layers, direction by direction, from small weights."""
    world = LinearTeacher(round(samples / alpha), alpha, SNR)
    curves = []
    for draw in range(8):
        drawn = world.sample(np.random.default_rng([seed, draw]))
        _, spread, rows = np.linalg.svd(drawn.features, full_matrices=False)
        values, truth = spread**2, rows @ drawn.teacher[:, 0]
        end = rows @ (drawn.features.T @ drawn.targets[:, 0]) / values
        learned = deep_linear_mode(TIMES, values, end, start=1e-3, depth=depth)
        missed = float((drawn.teacher**2).sum()) - float(truth @ truth)
        curves.append((((learned - truth) ** 2).sum(1) + missed) / world.inputs + 1 / SNR)
    test = np.mean(curves, axis=0)
    half = (test[0] + test.min()) / 2
    gap, reached = float(test[-1] - test.min()), float(TIMES[int((test <= half).argmax())])
    return {"gap": gap, "half_time": reached, "test": test.tolist()}


@experiment(**scales.STARTS, seeds=Seeds(smoke=4, laptop=10, paper=10))
def starts(inputs: int, alpha: float, inr: float, seed: int) -> Row:
    """Final test error by the variance of the initial weights; seeds share inputs, teachers and noise."""
    found = simulate(LinearTeacher(inputs, alpha, SNR, inr), [math.inf], matrices=4, teachers=50, seed=seed)
    return {"final": float(found.test.mean()), "final_in_noise": float(found.test.mean()) * SNR}


@experiment(**scales.FROZEN, seeds=Seeds(smoke=4, laptop=10, paper=10))
def frozen(weights: int, alpha: float, features: str, steps: int, seed: int) -> Row:
    """Descend step by step and look at the null space, taken from a QR decomposition of its own."""
    samples, rng = round(alpha * weights), np.random.default_rng([seed, 5])
    if features == "linear":
        h = rng.normal(0.0, weights**-0.5, (samples, weights))
    else:
        h = hidden_features(weights, 20, seed, rng.normal(0.0, 20**-0.5, (samples, 20)))[0]
    y, start = rng.normal(size=samples), rng.normal(size=weights)
    report, w = spectrum_report(h), start.copy()
    for _ in range(steps):
        w -= h.T @ (h @ w - y) / report.largest
    null = np.linalg.qr(h.T, mode="complete")[0][:, samples:]
    moved, length = w - start, float(np.linalg.norm(w - start))
    share_off = report.frozen_fraction - (1 - samples / weights)
    return {"null_move": float(np.abs(null.T @ moved).max()) / length, "share_off": share_off, "move": length}


@experiment(**scales.STOPPING, seeds=Seeds(smoke=4, laptop=10, paper=10))
def stopping(inputs: int, alpha: float, snr: float, seed: int) -> Row:
    """Early stopping against ridge: both optimal in theory, both chosen on validation data in simulation."""
    world, teachers = LinearTeacher(inputs, alpha, snr), 20
    rng = np.random.default_rng([seed, 6])
    errors: list[np.ndarray] = []
    times: list[np.ndarray] = []
    penalties: list[np.ndarray] = []
    for _ in range(2):
        drawn = world.sample(rng, teachers=teachers)
        fit = SpectralFit(drawn.features, drawn.targets)
        held = max(20, world.samples // 2), inputs
        other = rng.normal(0.0, inputs**-0.5, held)
        labels = other @ drawn.teacher + rng.normal(0.0, snr**-0.5, (len(other), teachers))
        for filters, values, taken in (
            (fit.flow(MOMENTS), MOMENTS, times),
            (fit.ridge(PENALTIES), PENALTIES, penalties),
        ):
            at = ((fit.predict(other, filters) - labels) ** 2).mean(1).argmin(0)
            errors.append(np.take_along_axis(fit.distance(drawn.teacher, filters), at[None], 0)[0] / inputs + 1 / snr)
            taken.append(values[at])
    best, ridge = linear_dynamics.optimal_stopping(alpha, snr), linear_dynamics.optimal_ridge_error(alpha, snr)
    curve = linear_dynamics.ridge_error(PENALTIES, alpha, snr)
    stopped, regular = np.mean(errors[::2]), np.mean(errors[1::2])
    return {
        "gap": float(100 * (stopped / regular - 1)),
        "gap_theory": 100 * (best.error / ridge - 1),
        "gap_floorless": 100 * (best.error - ridge) / (ridge - 1 / snr),
        "best_penalty_off": float(np.log(PENALTIES[int(curve.argmin())] * snr)),
        "log_time": float(np.mean(np.log(times))),
        "log_time_theory": math.log(best.time),
        "log_penalty": float(np.mean(np.log(penalties))),
        "log_snr": math.log(snr),
    }


@experiment(**scales.HIDDEN, seeds=Seeds(smoke=4, laptop=20, paper=20))
def hidden_layer(samples: int, inputs: int, share: float, seed: int) -> Row:
    """Train the output weights of a random hidden layer, exactly and to the end, and bound their complexity."""
    width, given = round(share * samples), lesson(samples, inputs, 1.0, seed)
    h, test = hidden_features(width, inputs, seed, given.x, given.test_x)
    fit = SpectralFit(h, given.y)
    filters = fit.flow(LATE)
    errors = ((fit.predict(test, filters) - given.test_y) ** 2).mean(1)
    train, report = fit.training_error(filters), spectrum_report(h)
    return {
        **_judged(errors, width, samples),
        "difference": float(errors[-1] - train[-1]),
        "log_smallest": math.log(report.smallest_nonzero),
        "log_counted": math.log(rademacher_complexity(counted_norm(width), h)),
        "log_learned": math.log(rademacher_complexity(learned_norm(h, given.y), h)),
    }


def _judged(errors: np.ndarray, width: int, samples: int) -> Row:
    final, stopped = float(errors[-1]), float(errors.min())
    return {
        "final": final,
        "log_final": math.log(final),
        "stopped": stopped,
        "log_gap": math.log(max(final - stopped, 1e-12)),
        "ratio": width / samples,
        "log_width": math.log(width),
        "errors": errors.tolist(),
    }


@experiment(**scales.FULL, seeds=Seeds(smoke=4, laptop=10, paper=10), batched=True)
def both_layers(
    samples: int, inputs: int, scale: float, width: int, steps: int, seeds: Sequence[int], progress: Progress
) -> list[Row]:
    """Train both layers of networks of several widths from weights of several sizes."""
    progress.step(0, 1, f"width {width}, initial weights {scale:g}")
    course = train_both_layers([lesson(samples, inputs, 1.0, s) for s in seeds], width, scale, steps, seeds)
    count = (inputs + 1) * width
    return [
        {
            **_judged(course.test[:, k], count, samples),
            "gap": float(course.test[-1, k] - course.test[:, k].min()),
            "train": float(course.train[-1, k]),
        }
        for k in range(len(seeds))
    ]


@experiment(**scales.IMAGES, seeds=Seeds(smoke=4, laptop=10, paper=10), reads=("data",))
def images(data: str, samples: int, share: float, seed: int) -> Row:
    """The same hidden layer on real images of which a fifth has a wrong label; test labels are right."""
    width = round(share * samples)
    x, y, test_x, test_y = task(data, samples, seed)
    h, test = hidden_features(width, x.shape[1], seed, x, test_x)
    fit = SpectralFit(h, y)
    found = fit.predict(test, fit.flow(LATE))
    errors = ((found - test_y) ** 2).sum(2).mean(1)
    wrong = (found.argmax(2) != test_y.argmax(1)).mean(1)
    return {
        **_judged(errors, width, samples),
        "wrong_final": 100 * float(wrong[-1]),
        "wrong_stopped": 100 * float(wrong[int(errors.argmin())]),
    }


@figure(on=dynamics)
def theory_and_simulation(trials: Trials) -> Drawing:
    """Test error over time, theory and simulation."""
    return drawing.over_time(trials)


@figure(on=sizes)
def overtraining_by_size(trials: Trials) -> Drawing:
    """Overtraining by the number of weights."""
    return drawing.by_size(trials)


@figure(on=sizes)
def error_by_size_and_time(trials: Trials) -> Drawing:
    """Test error by weights and time."""
    return drawing.landscape(trials)


@figure(on=hidden_layer)
def error_by_width(trials: Trials) -> Drawing:
    """Final and stopped error of a random hidden layer."""
    return drawing.by_width(trials)


@figure(on=hidden_layer)
def bounds_by_width(trials: Trials) -> Drawing:
    """Both bounds on the complexity and what they should follow."""
    return drawing.bounds(trials)


@figure(on=both_layers)
def trained_networks(trials: Trials) -> Drawing:
    """Final error by width and initial weights where both layers are trained."""
    return drawing.networks(trials)
