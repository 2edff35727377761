import numpy as np
import pytest

from overparam.lab import Trials
from overparam.papers.universality_lens.claims import CLAIMS
from overparam.papers.universality_lens.experiments import coin, networks
from overparam.papers.universality_lens.worlds import (
    NAMED,
    all_inputs,
    batch_risks,
    expected_bound,
    log_volumes,
    network_class,
    parameters_of,
    targets,
)

CLAIM = {claim.id: claim for claim in CLAIMS}


def states(claim, rows):
    return [part.state for part in CLAIM[claim].rule.judge(Trials(rows))]


def test_targets_are_what_their_names_say():
    found, x = targets(0), all_inputs(5)
    assert tuple(found)[:6] == NAMED
    assert found["parity"].sum() == 16
    assert np.array_equal(found["first bit"], x[:, 0] == 1)
    assert len(found) == 24
    assert parameters_of("8") == 57
    assert parameters_of("32-32") == 1281


def test_the_sabotaged_learner_breaks_the_bound():
    good, bad = (networks("8", 4_000, 200, 30, 0, sabotage=s) for s in (False, True))
    assert good["over_bound"] == 0 < bad["over_bound"]
    assert good["constant"] < bad["constant"]
    assert good["bounds"] == bad["bounds"]
    assert good["rank_correlation"] > 0.9


def test_batch_learners_keep_convexity_on_every_path():
    mixture, rng = network_class("8", 2_000, 0), np.random.default_rng(0)
    target = targets(0)["first bit"]
    averaged, online = zip(*(batch_risks(mixture, target, 20, rng) for _ in range(20)), strict=True)
    assert all(a <= o.mean() + 1e-12 for a, o in zip(averaged, online, strict=True))
    assert (np.array(online) >= -1e-12).all()
    assert np.mean(averaged) <= expected_bound(mixture, target, 20) / 20
    assert np.mean([o[-1] for o in online]) < np.mean([o[0] for o in online])


def test_a_coin_costs_half_a_log_and_copies_of_its_parameter_nothing():
    one, three = coin(1, 10_000), coin(3, 10_000)
    assert one["slope_gap"] < 0.02
    assert one["dimension"] == pytest.approx(1, abs=0.05)
    assert three["dimension"] == pytest.approx(1, abs=0.05)
    assert one["over_bound"] == three["over_bound"] == 0


def test_networks_that_fit_have_finite_volumes():
    tables = np.stack([np.ones(32, dtype=bool), targets(0)["first bit"]])
    volumes, fits = log_volumes(tables, 8, 150, 0)
    assert fits.all()
    assert volumes[0] > volumes[1]  # a constant is easier to keep


def test_weights_of_the_large_class_must_not_move_the_constant():
    def rows(large):
        return [
            {"hidden": h, "n": 200, "seed": s, "constant": value + 0.05 * s, "over_bound": 0.0}
            for h, value in (("8", 1.5), ("256-256", large))
            for s in range(3)
        ]

    assert states("C1", rows(1.6)) == ["holds", "holds"]
    assert states("C1", rows(4.0)) == ["holds", "fails"]
