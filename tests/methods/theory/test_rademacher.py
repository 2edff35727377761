import math

import numpy as np
import pytest

from overparam.errors import BadInput
from overparam.methods.theory.gradient_flow import gradient_flow
from overparam.methods.theory.linear_dynamics import weight_norm
from overparam.methods.theory.rademacher import (
    RISE,
    counted_norm,
    learned_norm,
    mean_square_bound,
    rademacher_complexity,
)

RNG = np.random.default_rng(0)


def test_the_bound_is_above_the_mean_over_signs():
    h = RNG.normal(size=(30, 12))
    signs = RNG.choice([-1.0, 1.0], (5000, 30))
    exact = 1.7 * np.linalg.norm(signs @ h, axis=1).mean() / 30  # the supremum over |w| <= norm
    bound = rademacher_complexity(1.7, h)
    assert exact < bound < 1.1 * exact


@pytest.mark.parametrize("shape", [(9, 4), (4, 9), (6, 6)])
@pytest.mark.parametrize("time", [0.01, 1.0, 100.0, math.inf])
def test_flow_never_leaves_the_ball(shape, time):
    for _ in range(20):
        h, y, w0 = RNG.normal(size=shape), RNG.normal(size=shape[0]), RNG.normal(size=shape[1])
        length = float(np.linalg.norm(gradient_flow(h, y, w0, [time])[0]))
        assert length <= learned_norm(h, y - h @ w0, time=time, initial=float(np.linalg.norm(w0))) * (1 + 1e-12)


def test_the_bound_is_reached_in_the_weakest_direction():
    h = np.diag([2.0, 0.5])
    y = np.array([0.0, 3.0])
    assert learned_norm(h, y) == pytest.approx(np.linalg.norm(gradient_flow(h, y, 0, [np.inf])))
    x = np.linspace(0.01, 10, 100_000)
    assert pytest.approx(((1 - np.exp(-x)) ** 2 / x).max(), abs=1e-7) == RISE


@pytest.mark.parametrize("alpha", [0.25, 0.8, 1.2, 4.0])
@pytest.mark.parametrize("inr", [0.0, 20.0])
def test_the_mean_square_stays_below_its_bound_at_all_times(alpha, inr):
    times = np.append(np.geomspace(0.01, 1e4, 50), np.inf)
    assert weight_norm(times, alpha, 5.0, inr).max() <= mean_square_bound(alpha, 5.0, inr)


def test_the_bound_peaks_where_weights_equal_samples():
    values = [mean_square_bound(a, 5.0) for a in (0.25, 0.5, 1.0, 2.0, 4.0)]
    assert math.isinf(values[2])
    assert values[0] < values[1]
    assert values[4] < values[3]


def test_arguments_are_checked():
    for call, says in (
        (lambda: rademacher_complexity(-1.0, np.eye(2)), "norm=-1.0 is no length"),
        (lambda: counted_norm(0), "weights=0"),
        (lambda: counted_norm(3, largest=0.0), "largest=0.0"),
        (lambda: learned_norm(np.eye(2), [1.0]), r"targets have shape \(1,\)"),
        (lambda: learned_norm(np.eye(2), [1.0, np.nan]), "pass 2 finite numbers"),
        (lambda: learned_norm(np.eye(2), [1.0, 1.0], time=-1.0), "time=-1.0"),
        (lambda: mean_square_bound(0.0, 5.0), "alpha=0.0"),
        (lambda: mean_square_bound(0.5, 0.0), "snr=0.0"),
    ):
        with pytest.raises(BadInput, match=says):
            call()
