import math

import numpy as np
import pytest

from overparam.lab import Trials
from overparam.lab.experiment import Progress
from overparam.papers.xor_grokking import experiments
from overparam.papers.xor_grokking.claims import CLAIMS
from overparam.papers.xor_grokking.training import Setting, accuracies, trained

CLAIM = {claim.id: claim for claim in CLAIMS}
WIGGLE = (0.1, -0.1, 0.05, 0.0, -0.05)
SMALL = Setting(40, 20_000, 800.0, 0.1, 50, 4e-3, 1e-10, 20, (1, 20), tested=200)


def states(claim, rows):
    return [part.state for part in CLAIM[claim].rule.judge(Trials(rows))]


def seeds(where=None, **values):
    """A row a seed, around values; whole numbers stay."""
    return [
        {**(where or {}), "seed": s, **{k: v if isinstance(v, int) else v + w for k, v in values.items()}}
        for s, w in enumerate(WIGGLE)
    ]


def test_every_claim_names_an_experiment_or_says_why_it_cannot():
    assert [c.id for c in CLAIMS if c.untestable] == ["C4p"]
    assert all(hasattr(getattr(experiments, c.on), "experiment") for c in CLAIMS if c.rule)
    assert not any(c.reported for c in CLAIMS)  # none of the paper's figures was read


def test_one_label_that_is_left_or_a_lead_over_chance_breaks_the_first_phase():
    assert states("C1", seeds(misfits_first=0, test_first=50.0)) == ["holds", "holds"]
    assert states("C1", seeds(misfits_first=1, test_first=58.0)) == ["fails", "fails"]


def test_later_means_near_optimal_all_flipped_labels_and_a_delay_in_every_seed():
    assert states("C2", seeds(test_last=99.0, flipped_misfits=0, not_later=0)) == ["holds"] * 3
    assert states("C2", seeds(test_last=90.0, flipped_misfits=1, not_later=1)) == ["fails"] * 3


def test_the_scaling_needs_an_error_that_falls_with_n_and_is_small_in_the_end():
    def rows(sign, last):
        found = []
        for flip in (0.02, 0.1):
            for n in (100, 800):
                error = last if n == 800 else last - sign * 5
                where = {"flip": flip, "n": n, "log_n": math.log(n)}
                found += seeds(where, error_last=float(error), flipped_misfits=0)
        return found

    assert states("C2t", rows(-1, 1)) == ["holds"] * 5
    assert states("C2t", rows(1, 20)) == ["holds"] + ["fails"] * 4


def test_a_power_law_is_no_exponential():
    def rows(exponent):
        return [
            {"seed": s, "log_snr": math.log(x), "log_exponent": math.log(exponent(x)) + 0.1 * w}
            for x in (100, 400, 1600)
            for s, w in enumerate(WIGGLE)
        ]

    assert states("C2e", rows(lambda x: 0.003 * x)) == ["holds"]
    assert states("C2e", rows(lambda x: 0.5 * math.log(x))) == ["fails"]


def test_the_mechanism_is_linear_first_and_even_later():
    assert [s[0] for s in (states("C3", [{"seed": k, "correlation_first": c, "slope_first": 1.0 + k / 100} for k in (0, 1)])
                           for c in (0.999, 0.9))] == ["holds", "fails"]  # fmt: skip
    good = [{"seed": k, "odd_last": 0.1 + k / 100, "matched_gain": 0.2, "matched_lead": 0.3} for k in range(3)]
    assert states("C3f", good) == ["holds"] * 3
    assert (
        states("C3f", [{**r, "odd_last": 0.9, "matched_gain": -0.1, "matched_lead": -0.1} for r in good])
        == ["fails"] * 3
    )


def test_no_linear_rule_may_do_better_and_the_network_has_to():
    def rows(network, logistic, frozen):
        values = {"network": network, "logistic": logistic, "frozen gates": frozen}
        return [row for arm, v in values.items() for row in seeds({"arm": arm}, test=v, flipped_misfits=0)]

    # a difference of equal wiggles has no width, so the contrast is decided by its sign
    assert states("C4", rows(99.0, 50.0, 60.0)) == ["holds"] * 4
    assert states("C4", rows(70.0, 60.0, 80.0)) == ["fails", "holds", "fails", "fails"]


def test_a_tiny_problem_shows_the_first_phase_and_repeats():
    rows = trained(SMALL, range(3), accuracies)
    assert all(r["misfits_first"] == 0 and r["train_first"] == 100 for r in rows)
    assert 35 < np.mean([r["test_first"] for r in rows]) < 65
    assert all(r["error_last"] == pytest.approx(100 - r["test_last"]) for r in rows)
    assert trained(SMALL, range(3), accuracies) == rows


def test_many_seeds_are_trained_in_parts_with_the_same_numbers(monkeypatch):
    whole = trained(SMALL, range(3), accuracies)
    monkeypatch.setattr("overparam.papers.xor_grokking.training.TOGETHER", 2)
    assert trained(SMALL, range(3), accuracies) == whole


def test_the_scaling_keeps_the_assumptions():
    row = experiments.scaling(n=40, flip=0.1, seeds=[0], progress=Progress())[0]
    p, squared = row["dimension"], 40**0.51 * math.sqrt(row["dimension"])
    assert p >= 40**2 * squared * (1 - 1e-9)
    assert row["misfits_first"] == 0


def test_frozen_gates_and_linear_rules_stay_near_chance():
    setting = {"n": 60, "p": 20_000, "signal": 6.0, "steps": 30, "seeds": [0, 1]}
    for arm in experiments.ARMS:
        rows = experiments.rivals(arm=arm, **setting)
        assert all(r["flipped_misfits"] == 0 for r in rows)
        assert np.mean([r["test"] for r in rows]) < 70 or arm == "network"


def test_a_large_start_is_not_linear_after_a_step():
    setting = {"n": 60, "p": 20_000, "signal": 4.0, "m": 400, "steps": 20, "seeds": [0], "progress": Progress()}
    ours, lazy = (experiments.mechanism(**setting, sabotage=broken)[0] for broken in (False, True))
    assert ours["correlation_first"] > 0.97 > 0.9 > lazy["correlation_first"]
    assert sum(ours["bars_first"]) == sum(ours["bars_later"])
