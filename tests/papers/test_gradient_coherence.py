import numpy as np
import pytest
import torch

from overparam.lab import Trials
from overparam.lab.experiment import Progress
from overparam.papers.gradient_coherence import experiments
from overparam.papers.gradient_coherence.claims import CLAIMS
from overparam.papers.gradient_coherence.setting import build, read_task, redraw, train

CLAIM = {claim.id: claim for claim in CLAIMS}
SMALL = {"data": "digits", "size": 200, "model": "mlp-32", "epochs": 3}


def states(claim, rows):
    return [part.state for part in CLAIM[claim].rule.judge(Trials(rows))]


def test_every_claim_is_bound_or_says_why_not():
    assert [c.id for c in CLAIMS] == ["C1", "C2", "C2p", "C3", "C3t", "C3n", "C4", "C5", "C6", "C7", "C7r", "C8"]
    assert all(c.untestable or hasattr(getattr(experiments, c.on), "experiment") for c in CLAIMS)


def test_a_ratio_below_three_is_no_large_difference():
    def rows(real):
        return [
            {"share": share, "seed": s, "peak": value * (1 + 0.02 * s), "start": 1.0 + 0.1 * s}
            for share, value in ((0.0, real), (1.0, 1.0))
            for s in range(4)
        ]

    assert states("C2", rows(6.0)) == ["holds", "holds"]
    assert states("C2", rows(2.0)) == ["fails", "holds"]


def test_the_trend_has_to_have_the_sign_of_the_bound():
    def rows(sign):
        return [
            {"share": level, "seed": s, "gap": 50 + sign * 40 * level + s, "disagreement": level, "displacement": level}
            for level in (0.0, 0.25, 0.5, 0.75, 1.0)
            for s in range(3)
        ]

    for claim in ("C3t", "C3n"):
        assert states(claim, rows(1)) == ["holds"]
        assert states(claim, rows(-1)) == ["fails"]


def test_robust_rules_are_judged_in_pairs():
    def rows(gain):
        return [
            {"rule": rule, "rate": rate, "noise": 0.5, "seed": s, "test": 60 + s + more, "memorised": 50 - more + s}
            for rate in (0.5, 0.1)
            for rule in ("mean", "winsor-4", "m3", "rm3")
            for s in range(3)
            for more in (0.0 if rule == "mean" else gain + 0.1 * s,)
        ]

    assert set(states("C7", rows(8.0))) == {"holds"}
    assert set(states("C7r", rows(-8.0))) == {"fails"}


def test_redrawn_labels_are_wrong_but_for_chance():
    y = torch.arange(5000) % 10
    half = redraw(y, 0.5, 10, seed=1)
    assert float((half != y).double().mean()) == pytest.approx(0.45, abs=0.02)
    assert torch.equal(redraw(y, 0.0, 10, seed=1), y)
    assert torch.equal(redraw(y, 0.5, 10, seed=1), half)
    assert not torch.equal(redraw(y, 0.5, 10, seed=2), half)


@pytest.mark.parametrize("model", ["mlp-32", "cnn"])
def test_networks_start_undecided(model):
    task = read_task("digits", 50)
    with torch.no_grad():
        p = build(model, task, 0).eval()(task.x).softmax(1)
    assert float((p - 0.1).abs().max()) < 0.1


def test_training_ends_at_the_same_network_whatever_is_kept():
    task = read_task("digits", 100)
    given = task.y.expand(2, -1)
    some = train(task, given, "mlp-16", [0, 1], epochs=[0, 2], batch=20, rate=0.1)
    every = train(task, given, "mlp-16", [0, 1], epochs=[0, 1, 2], batch=20, rate=0.1)
    for a, b in zip(some[2], every[2], strict=True):
        assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


@pytest.mark.parametrize(("m", "strength"), [(20, 1.0), (50, 0.5)])
def test_the_shared_feature_follows_its_formulas(m, strength):
    row = experiments.shared_feature(m=m, strength=strength, seed=0)
    assert abs(row["alpha_error"]) < 1e-12
    assert abs(row["growth_error"]) < 1e-12
    assert row["m_coherence"] == pytest.approx((strength**2 * m + 1) / (strength**2 + 1))
    assert row["random_m_coherence"] == pytest.approx(1, abs=0.2)


def test_noise_reports_the_gap_on_labels_with_equal_noise():
    rows = experiments.noise(**SMALL, share=0.5, seeds=[0, 1], progress=Progress())
    assert rows[0] != rows[1]
    for row in rows:
        assert len(row["m_coherence"]) == len(row["epoch"]) == len(row["test"])
        assert row["peak"] == max(row["m_coherence"])
        expected = row["gap"] + 0.5 * row["test"][-1] + 0.5 * 10  # the train accuracy
        assert 0 <= expected <= 100
        assert np.isfinite(row["displacement"])


def test_sabotage_takes_the_labels_of_the_real_arm_away():
    real, broken = (
        experiments.noise(**SMALL, share=0.0, seeds=[0], progress=Progress(), sabotage=s)[0] for s in (False, True)
    )
    assert real["peak"] > broken["peak"]
    plain, robbed = (
        experiments.robust(
            data="digits", size=120, epochs=4, rate=0.5, noise=0.5, rule=rule, seed=0, progress=Progress(),
            sabotage=sabotage,
        )
        for rule, sabotage in (("mean", False), ("winsor-4", True))
    )  # fmt: skip
    assert plain == robbed


@pytest.mark.parametrize("rule", ["winsor-2", "m3", "rm3"])
def test_robust_rules_train(rule):
    row = experiments.robust(
        data="digits", size=120, epochs=8, rate=0.5, noise=0.0, rule=rule, seed=0, progress=Progress()
    )
    assert row["train"] > 60
    assert row["memorised"] is None
    assert len(row["test_curve"]) == 4


def test_easy_examples_are_told_by_other_runs():
    rows = experiments.easy_hard(**SMALL, seeds=[0, 1, 2], progress=Progress())
    assert all(-1 <= row["agreement"] <= 1 for row in rows)
    assert all(row["gap_difference"] == pytest.approx(row["gap_hard"] - row["gap_easy"]) for row in rows)
