import numpy as np

from overparam.papers.matrix_sensing.experiments import asymmetric, balanced, symmetric


def test_wide_symmetric_factors_are_slow_and_exact_ones_fast():
    (wide,) = symmetric(20, 2, 4, 3_000, seeds=[0])
    (exact,) = symmetric(20, 2, 2, 3_000, seeds=[0])
    assert -2.2 < wide["power_slope"] < -1.8
    assert wide["exponential_better"] < 0 < exact["exponential_better"]
    assert exact["log10_error"] < -20
    assert exact["power_slope"] is None
    assert len(wide["at"]) == len(wide["error"])


def test_the_sabotage_leaves_the_rebalancing_out():
    (good,) = asymmetric(20, "wide", 0.1, "rebalanced", 3_000, seeds=[0])
    (bad,) = asymmetric(20, "wide", 0.1, "rebalanced", 3_000, seeds=[0], sabotage=True)
    (plain,) = asymmetric(20, "wide", 0.1, "plain", 3_000, seeds=[0])
    assert good["rebalanced_at"] > 0
    assert bad["rebalanced_at"] == -1
    assert bad["error"] == plain["error"]
    assert good["log10_error"] < -15 < plain["log10_error"]


def test_balanced_factors_are_the_symmetric_ones():
    assert max(row["difference"] for row in balanced(12, 2, 4, 300, seeds=[0, 1])) < 1e-12


def test_a_slow_rate_is_fitted_on_what_is_there_or_left_out():
    (row,) = asymmetric(20, "wide", 0.01, "plain", 60, seeds=[0])
    assert row["rate"] is None
    assert np.isfinite(row["log10_error"])
