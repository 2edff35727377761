import numpy as np
import pytest

from overparam.errors import BadInput
from overparam.methods.tuning.discovery import BudgetExceeded, discover

CUTS = np.array([0.111, 0.35, 0.3517, 0.8])


def signature(alphas):
    return (alphas[:, None] > CUTS).astype(int)


def test_breaks_are_found_to_the_tolerance():
    found = discover(signature, 0.0, 1.0, tol=1e-8)
    np.testing.assert_allclose(found.breaks, CUTS, atol=1e-8)
    assert found.signatures.sum(1).tolist() == [0, 1, 2, 3, 4]
    assert found.unresolved == ()
    assert found.n_evals < 33 + 2 + 4 * 28


def test_two_labels_that_flip_together_are_seen_although_utility_stays():
    def swap(alphas):
        return np.stack([alphas > 0.4, alphas <= 0.4], axis=1).astype(int)

    found = discover(swap, 0.0, 1.0)
    assert len(found.breaks) == 1
    f = found.function(lambda row: float(row.mean()))
    assert f.pieces.ravel().tolist() == [0.5, 0.5]


def test_a_piece_between_grid_points_is_missed_and_probes_can_find_it():
    def needle(alphas):
        return ((alphas > 0.5003) & (alphas < 0.5043)).astype(int)[:, None]

    assert len(discover(needle, 0.0, 1.0).breaks) == 0
    assert len(discover(needle, 0.0, 1.0, probes=2_000, max_evals=9_000).breaks) == 2


def test_a_spent_budget_warns_and_keeps_what_was_found():
    with pytest.warns(BudgetExceeded, match="left 4 intervals wider"):
        found = discover(signature, 0.0, 1.0, max_evals=40)
    assert len(found.unresolved) == 4
    assert all(((a < CUTS) & (b > CUTS)).any() for a, b in found.unresolved)
    assert found.n_evals <= 40


def test_all_intervals_of_a_round_are_tried_in_one_call():
    calls = []

    def counted(alphas):
        calls.append(len(alphas))
        return signature(alphas)

    found = discover(counted, 0.0, 1.0, tol=1e-3)
    assert found.rounds == len(calls) <= 3 + 6
    assert sum(calls) == found.n_evals


@pytest.mark.parametrize(
    ("function", "settings", "said"),
    [
        (signature, {"tol": 0.0}, "tol > 0"),
        (signature, {"n_init": 1}, "n_init >= 2"),
        (signature, {"max_evals": 10}, "budget of at least"),
        (lambda a: a > 0.5, {}, "return one row for each"),
        (lambda a: np.ones((3, 1)), {}, "shape \\(3, 1\\) for 33"),
    ],
)
def test_bad_input_is_named(function, settings, said):
    with pytest.raises(BadInput, match=said):
        discover(function, 0.0, 1.0, **settings)


def test_random_training_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(BadInput, match="two calls with the same alphas disagree"):
        discover(lambda a: rng.random((len(a), 2)), 0.0, 1.0)


def test_a_utility_that_is_not_finite_is_refused():
    with pytest.raises(BadInput, match="utility of piece 0 is nan"):
        discover(signature, 0.0, 1.0).function(lambda row: float("nan"))
