import numpy as np
import pytest

from overparam.errors import BadInput
from overparam.lab import Trials
from overparam.papers.hyperparameter_sample_complexity.claims import CLAIMS
from overparam.papers.hyperparameter_sample_complexity.experiments import architecture, duals, objective, tasks
from overparam.papers.hyperparameter_sample_complexity.laws import (
    features_task,
    graph_task,
    graph_utilities,
    network_task,
    task,
)

CLAIM = {claim.id: claim for claim in CLAIMS}


def states(claim, rows):
    return [part.state for part in CLAIM[claim].rule.judge(Trials(rows))]


@pytest.mark.parametrize("law", ["activation", "graph", "calm graph"])
def test_exact_curve_and_predictions_agree(law):
    drawn = task(law, 0)
    exact = drawn.exact()
    middles = 0.5 * (exact.edges[1:] + exact.edges[:-1])
    np.testing.assert_allclose(exact(middles), (drawn.predict(middles) == drawn.target).mean(1))
    assert len(exact.breaks) <= drawn.bound


def test_tasks_differ_by_seed_and_are_the_same_for_one_seed():
    one, again, two = graph_task(0), graph_task(0), graph_task(1)
    assert np.array_equal(one.similarity, again.similarity)
    assert not np.array_equal(one.similarity, two.similarity)
    with pytest.raises(BadInput, match="law='x' is unknown"):
        task("x", 0)


def test_training_all_values_at_once_is_training_each_alone():
    drawn = network_task(0, steps=30)
    alphas = np.array([0.0, 0.31, 1.0])
    together = drawn.predict(alphas)
    for row, alpha in zip(together, alphas, strict=True):
        assert np.array_equal(row, drawn.predict(np.array([alpha]))[0])
    assert (together == drawn.target).mean() > 0.6


def test_the_cached_table_is_the_utility_of_its_tasks(home):
    held = graph_utilities(7, 2, 6, 11)
    drawn = graph_task(8)
    np.testing.assert_array_equal(held["utility"][1], (drawn.predict(held["alphas"]) == drawn.target).mean(1))
    assert (held["breaks"] >= 0).all()


@pytest.mark.slow
def test_the_sabotage_tunes_for_the_wrong_labels(home):
    good, bad = (tasks(8, 40, 51, seeds=[0, 1], sabotage=s) for s in (False, True))
    assert max(r["shortfall"] for r in good) < min(r["shortfall"] for r in bad)
    assert all(r["over_twice"] <= 1 for r in good + bad)  # an identity: both are averages of the same utilities


def test_bisection_and_roots_agree_on_a_task():
    row = duals("graph", 0)
    assert row["extra"] == 0
    assert row["over_bound"] < 1
    assert len(row["edges"]) == row["breaks"] + 2


def test_sizes_reach_the_tasks():
    assert features_task(0, width=7).first.shape[1] == 7
    assert architecture("graph", 14, 2, 0)["log_degree"] == pytest.approx(np.log(2))
    assert objective(5, 0)["below_grid"] < 1e-9


def test_deviations_that_do_not_shrink_fail():
    def rows(exponent):
        return [
            {"n": n, "seed": s, "log_n": np.log(n), "log_deviation": exponent * np.log(n) + 0.01 * s, "over_bound": 0.1}
            for n in (1, 4, 16, 64)
            for s in range(4)
        ]

    assert states("C3", rows(-0.5)) == ["holds", "holds"]
    assert states("C3", rows(-0.1)) == ["fails", "holds"]
