import numpy as np
import pytest

from overparam.errors import BadInput
from overparam.lab import Trials
from overparam.papers.unsupervised_pretraining.claims import CLAIMS
from overparam.papers.unsupervised_pretraining.conditions import lost
from overparam.papers.unsupervised_pretraining.experiments import dimension, factor
from overparam.papers.unsupervised_pretraining.worlds import (
    RIDGES,
    factor_world,
    minimum_norm,
    mixture_world,
    pair_world,
    ridge_path,
    zero_one_excess,
)

CLAIM = {claim.id: claim for claim in CLAIMS}
SEEDS = range(8)


def states(claim, rows):
    return [part.state for part in CLAIM[claim].rule.judge(Trials(rows))]


def surface(p, q):
    """Errors of a known rate with a little noise."""
    rng = np.random.default_rng(0)
    return [
        {"m": m, "n": n, "seed": s, "two_phase": (50 * m**-p + n**-q) * np.exp(0.1 * rng.standard_normal())}
        for m in (200, 1_000, 5_000)
        for n in (20, 80, 640)
        for s in SEEDS
    ]


def test_slower_rates_than_the_bound_contradict_it_and_faster_ones_do_not():
    assert states("C1", surface(1.0, 1.0)) == ["holds", "holds"]
    assert states("C1", surface(0.25, 1.0)) == ["fails", "holds"]
    assert states("C1", surface(1.0, 0.25)) == ["holds", "fails"]


def test_without_enough_cells_the_rate_is_unclear():
    assert states("C1", surface(1.0, 1.0)[:16]) == ["unclear", "unclear"]


def test_the_labelled_data_are_the_same_for_every_amount_of_unlabelled_data():
    (few,), (many,) = (factor(20, 2, m, 40, seeds=[3]) for m in (100, 10_000))
    assert few["ridge"] == many["ridge"]
    assert few["known"] == many["known"]
    assert few["two_phase"] != many["two_phase"]


def test_the_best_ridge_is_never_worse_than_the_tuned_one():
    for row in factor(20, 2, 1_000, 40, seeds=SEEDS):
        assert row["best_ridge"] <= row["ridge"] * (1 + 1e-9)


def test_the_sabotage_loses_what_unlabelled_data_teach():
    good, bad = (factor(20, 2, 5_000, 80, seeds=SEEDS, sabotage=s) for s in (False, True))
    assert np.mean([r["two_phase"] for r in good]) * 5 < np.mean([r["two_phase"] for r in bad])


def test_more_inputs_cost_least_squares_only():
    narrow, wide = (dimension(d, 2, 200, 100_000, seeds=range(20)) for d in (20, 80))
    ratio = {k: np.mean([r[k] for r in wide]) / np.mean([r[k] for r in narrow]) for k in ("two_phase", "least_squares")}
    assert ratio["two_phase"] < 1.7
    assert ratio["least_squares"] > 3


def test_the_ridge_path_ends_at_least_squares():
    x, y = factor_world(10, 2, 0).sample(30, np.random.default_rng(0))
    path = ridge_path(x, y)
    np.testing.assert_allclose(path[0], minimum_norm(x, y), rtol=1e-2)
    dense = np.linalg.solve(x.T @ x + RIDGES[9] * np.eye(10), x.T @ y)
    np.testing.assert_allclose(path[9], dense)


def test_mixture_labels_have_the_stated_chance():
    world = mixture_world(10, 4, 0)
    x, y = world.sample(20_000, np.random.default_rng(0))
    chance = world.chance(x)
    assert y[chance > 0.85].mean() == pytest.approx(chance[chance > 0.85].mean(), abs=0.02)
    assert zero_one_excess(chance, (chance > 0.5).astype(int)) == 0
    assert zero_one_excess(chance, (chance <= 0.5).astype(int)) == pytest.approx(np.abs(2 * chance - 1).mean())
    assert np.linalg.norm(world.centres, axis=1) == pytest.approx(3.5 * np.log(4) ** 0.5)


def test_true_features_are_orthogonal():
    theta = pair_world(8, 3, 0).theta
    np.testing.assert_allclose(theta @ theta.T, 4 * np.eye(3), atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["factor", "mixture", "pairs"])
def test_labels_outside_the_latent_variable_are_lost_to_two_phases_alone(case):
    two_phase, supervised = lost(case, 2_000, 0)
    assert two_phase > 0.9
    assert supervised < 0.2


def test_an_unknown_case_is_refused():
    with pytest.raises(BadInput, match="case='x' is unknown"):
        lost("x", 10, 0)
