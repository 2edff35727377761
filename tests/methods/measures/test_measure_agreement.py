import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

from overparam.errors import BadInput
from overparam.methods.measures.measure_agreement import rank_agreement, tightness

AXES = ["width", "depth", "rate"]


def factorial(seed=0, levels=(3, 2, 2)):
    rng = np.random.default_rng(seed)
    rows = list(itertools.product(*[range(n) for n in levels]))
    table = {axis: [row[i] for row in rows] for i, axis in enumerate(AXES)}
    return table | {"mu": rng.normal(size=len(rows)).tolist(), "gap": rng.normal(size=len(rows)).tolist()}


def test_tau_is_kendalls():
    table = factorial()
    assert rank_agreement(table, "mu", axes=AXES).tau == pytest.approx(kendalltau(table["mu"], table["gap"]).statistic)


def test_granulated_equals_tau_on_one_axis():
    table = factorial(levels=(9, 1, 1))
    found = rank_agreement(table, "mu", axes=["width"])
    assert found.psi == pytest.approx(found.tau)
    assert found.psi_by_axis == {"width": found.psi}


def test_granulated_against_loops():
    table = factorial(3)
    frame = pd.DataFrame(table)
    found = rank_agreement(frame, "mu", axes=AXES)
    for axis in AXES:
        taus = [
            kendalltau(group["mu"], group["gap"]).statistic
            for _, group in frame.groupby([a for a in AXES if a != axis])
        ]
        assert found.psi_by_axis[axis] == pytest.approx(np.mean(taus))
    assert found.psi == pytest.approx(np.mean(list(found.psi_by_axis.values())))


def test_a_perfect_and_a_reversed_measure():
    table = factorial()
    table["same"], table["reverse"] = [math.exp(g) for g in table["gap"]], [-g for g in table["gap"]]
    same, reverse = (rank_agreement(table, name, axes=AXES) for name in ("same", "reverse"))
    assert (same.tau, same.psi, same.sign_error_max, same.cmi) == pytest.approx((1, 1, 0, 1))
    assert (reverse.tau, reverse.psi, reverse.sign_error_max, reverse.cmi) == pytest.approx((-1, -1, 1, 1))


def test_a_constant_measure_ranks_nothing():
    table = factorial() | {"flat": [2.0] * 12}
    found = rank_agreement(table, "flat", axes=AXES)
    assert (found.tau, found.psi, found.cmi, found.sign_error_max) == (0, 0, 0, 0.5)


def test_order_of_rows_and_monotone_maps_do_not_matter():
    table = factorial(1)
    order = np.random.default_rng(2).permutation(12)
    shuffled = {name: [values[i] for i in order] for name, values in table.items()}
    shuffled["mu"] = [math.atan(v) for v in shuffled["mu"]]
    one, two = rank_agreement(table, "mu", axes=AXES), rank_agreement(shuffled, "mu", axes=AXES)
    assert one.psi_by_axis == pytest.approx(two.psi_by_axis)
    assert (one.tau, one.cmi, one.sign_error_max) == pytest.approx((two.tau, two.cmi, two.sign_error_max))


def test_a_measure_that_follows_one_axis_alone_has_no_information_given_that_axis():
    rows = list(itertools.product(range(2), range(2), range(2)))
    table = {axis: [r[i] for r in rows] for i, axis in enumerate(AXES)}
    table["mu"] = [r[0] for r in rows]
    table["gap"] = [10 * r[0] + r[1] + 0.1 * r[2] for r in rows]
    found = rank_agreement(table, "mu", axes=AXES)
    assert found.tau > 0.5
    assert found.cmi == pytest.approx(0.0, abs=1e-12)
    assert found.psi_by_axis == {"width": 1.0, "depth": 0.0, "rate": 0.0}


def test_pairs_within_noise_do_not_count():
    table = {"width": [0, 1, 2], "mu": [1.0, 0.0, 2.0], "gap": [0.10, 0.11, 0.50]}
    assert rank_agreement(table, "mu", axes=["width"]).tau == pytest.approx(1 / 3)
    assert rank_agreement(table, "mu", axes=["width"], noise=0.05).tau == 1.0


def test_infinite_measures_come_last_and_tie():
    table = {"width": [0, 1, 2], "mu": [1.0, math.inf, math.inf], "gap": [0.1, 0.2, 0.3]}
    assert rank_agreement(table, "mu", axes=["width"]).tau == pytest.approx(2 / 3)


def test_the_worst_environment_is_found():
    table = {"width": [0, 0, 1, 1], "depth": [0, 1, 0, 1], "mu": [0, 1, 3, 2], "gap": [0, 1, 2, 3]}
    found = rank_agreement(table, "mu", axes=["width", "depth"])
    assert found.sign_error_max == 0.5
    assert found.psi_by_axis == {"width": 1.0, "depth": 0.0}


def test_tightness():
    table = {"gap": [0.1, 0.3, 0.2], "affine": [5.0, 25.0, 15.0], "flat": [0.5] * 3, "none": [1.0, math.inf, 2.0]}
    found = tightness(table, ["affine", "flat", "none"])
    assert (found["affine"].vacuous_share, found["affine"].sup_error) == (1.0, pytest.approx(24.7))
    assert found["affine"].affine_sup_error == pytest.approx(0.0, abs=1e-9)
    assert (found["flat"].vacuous_share, found["flat"].sup_error) == (0.0, pytest.approx(0.4))
    assert found["flat"].affine_sup_error == pytest.approx(0.1)
    assert (found["none"].sup_error, found["none"].affine_sup_error) == (math.inf, pytest.approx(0.1))
    assert found["none"].vacuous_share == pytest.approx(2 / 3)


def test_the_uniform_fit_against_a_fine_search():
    rng = np.random.default_rng(0)
    mu, gap = rng.normal(size=9) * 1e6, rng.random(9)
    found = tightness({"mu": mu, "gap": gap}, ["mu"])["mu"].affine_sup_error
    slopes = np.linspace(-1e-6, 1e-6, 4001)
    residual = gap[None] - slopes[:, None] * mu[None]
    assert found == pytest.approx(((residual.max(1) - residual.min(1)) / 2).min(), rel=1e-2)
    assert found <= ((residual.max(1) - residual.min(1)) / 2).min() + 1e-9


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: rank_agreement(t, "nothing", axes=AXES), "no column 'nothing'"),
        (lambda t: rank_agreement(t, "mu", axes=["height"]), "no column 'height'"),
        (lambda t: rank_agreement(t, "mu", axes=[]), "name the hyper-parameters"),
        (lambda t: rank_agreement({k: v[:1] for k, v in t.items()}, "mu", axes=AXES), "two networks"),
        (lambda t: rank_agreement(t | {"mu": [math.nan] * 12}, "mu", axes=AXES), "holds NaN"),
        (lambda t: tightness({"mu": [], "gap": []}, ["mu"]), "no rows"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(BadInput, match=message):
        call(factorial())
