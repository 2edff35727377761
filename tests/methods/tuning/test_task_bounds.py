import itertools
import math

import numpy as np
import pytest

from overparam.errors import BadInput
from overparam.methods.tuning.task_bounds import (
    Certificate,
    observed_deviation,
    order_of_activation,
    order_of_graph,
    pdim_upper,
    tasks_needed,
    uniform_deviation,
)


def test_pseudo_dimension_is_the_largest_that_the_count_allows():
    assert [pdim_upper(b) for b in (0, 1, 2, 3)] == [0, 1, 2, 3]
    values = [pdim_upper(b) for b in range(200)]
    assert values == sorted(values)
    for b in (7, 50, 1_000):
        m = pdim_upper(b)
        assert 2**m <= m * b + 1
        assert 2 ** (m + 1) > (m + 1) * b + 1


@pytest.mark.parametrize("breaks", [1, 2])
def test_no_tasks_shatter_more_than_the_bound(breaks):
    """Try all binary step functions with so many breaks on a grid of places: the patterns over m tasks never reach 2^m."""
    m = pdim_upper(breaks) + 1
    places = range(1, m * breaks + 1)
    alphas = np.arange(m * breaks + 1)
    steps = [
        (np.searchsorted(cut, alphas, side="right") + flip) % 2
        for cut in itertools.combinations(places, breaks)
        for flip in (0, 1)
    ]
    most = max(len(set(zip(*group, strict=True))) for group in itertools.combinations(steps, m))
    assert most < 2**m


def test_deviation_vanishes_and_grows_with_breaks():
    values = [uniform_deviation(n, 30) for n in (10, 100, 10_000, 10**8)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.001
    assert uniform_deviation(100, 10) < uniform_deviation(100, 1_000)
    assert uniform_deviation(100, 10, height=3.0) == pytest.approx(3 * uniform_deviation(100, 10))
    assert uniform_deviation(50, 0) == pytest.approx(math.sqrt(math.log(40) / 100))


def test_the_bound_holds_in_simulation():
    """Step functions with one random break each: the deviation exceeds the bound in no more runs than it may."""
    rng, n, delta = np.random.default_rng(0), 40, 0.2
    bound = uniform_deviation(n, 1, delta=delta)
    worst = []
    for _ in range(300):
        cuts = np.sort(rng.random(n))
        empirical = np.arange(n + 1) / n  # share of tasks with a break below alpha
        worst.append(max(np.abs(empirical[1:] - cuts).max(), np.abs(empirical[:-1] - cuts).max()))
    assert np.mean(np.array(worst) > bound) <= delta


def test_observed_counts_cost_a_larger_constant():
    assert observed_deviation([5] * 50) > uniform_deviation(50, 5)
    assert observed_deviation([0] * 50) < observed_deviation([100] * 50)


def test_the_number_of_tasks_inverts_the_deviation():
    for accuracy, breaks in ((0.3, 5), (0.1, 500), (0.02, 0)):
        n = tasks_needed(accuracy, breaks)
        assert uniform_deviation(n, breaks) <= accuracy
        assert n == 1 or uniform_deviation(n - 1, breaks) > accuracy


def test_suboptimality_is_twice_the_smaller_deviation():
    assert Certificate(0.3, None, 5, (1,), 0.05).suboptimality == pytest.approx(0.6)
    assert Certificate(0.3, 0.1, 5, (1,), 0.05).suboptimality == pytest.approx(0.2)


def test_orders_are_terms():
    found = order_of_activation(layers=2, weights=10, units=5, pieces=1, degree=1, examples=8)
    assert found == {"L² W log degree": 0.0, "L W log(T U p)": pytest.approx(20 * math.log(40))}
    assert order_of_graph(hidden=3, inputs=2, classes=1, nodes=5, degree=1).popitem()[1] == pytest.approx(
        9 * math.log(10)
    )


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: pdim_upper(-1), "breaks=-1"),
        (lambda: uniform_deviation(0, 1), "tasks=0"),
        (lambda: uniform_deviation(1, -1), "breaks=-1"),
        (lambda: uniform_deviation(1, 1, delta=1.0), "delta=1"),
        (lambda: uniform_deviation(1, 1, height=0.0), "height=0"),
        (lambda: observed_deviation([]), "tasks=0"),
        (lambda: observed_deviation([-1]), "counts hold -1"),
        (lambda: tasks_needed(0.0, 1), "accuracy=0"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(BadInput, match=said):
        call()
