import numpy as np
import pytest

from overparam import data
from overparam.data.sparse_matrices import NAMES, POSITIVE_DEFINITE, load_matrix
from overparam.errors import BadInput
from overparam.papers.learning_to_relax.experiments import bound, heat, overhead, policies, right_hand_side
from overparam.papers.learning_to_relax.tables import grid_costs


class Quiet:
    def step(self, *_):
        pass


def test_a_bandit_nears_the_best_fixed_omega_and_shuffled_costs_keep_it_away():
    (good,) = policies("tsallis", "high", 4, 400, 1, seeds=[0], progress=Quiet())
    (bad,) = policies("tsallis", "high", 4, 400, 1, seeds=[0], progress=Quiet(), sabotage=True)
    (uniform,) = policies("uniform", "high", 4, 400, 1, seeds=[0], progress=Quiet())
    assert good["best"] < good["fixed"] < good["cost"] < uniform["cost"]
    assert good["over_fixed"] < bad["over_fixed"]
    assert 0 < good["exponent"] < 1
    assert len(good["rounds"]) == len(good["running"])
    assert good["running"][-1] == pytest.approx(good["cost"])


def test_seeds_share_a_table_or_have_their_own():
    shared = policies("ucb1", "low", 4, 100, 1, seeds=[0, 1], progress=Quiet())
    own = policies("ucb1", "low", 4, 100, 2, seeds=[0, 1], progress=Quiet())
    assert shared[0]["fixed"] == shared[1]["fixed"]
    assert own[0]["fixed"] == shared[0]["fixed"]
    assert own[1]["fixed"] != own[0]["fixed"]
    assert grid_costs("low", 4, 100, 0)["costs"].shape == (100, 20)


def test_a_policy_s_rows_do_not_depend_on_which_seeds_play_beside():
    both = policies("cheb", "low", 4, 100, 1, seeds=[3, 5], progress=Quiet())
    (one,) = policies("cheb", "low", 4, 100, 1, seeds=[5], progress=Quiet())
    assert one["running"] == both[1]["running"]


def test_the_bound_holds_and_its_minimum_is_near():
    row = bound(5, 0.1, 0.1, seed=0)
    assert row["shortfall"] == 0.0
    assert 0 < row["tau"] < 1
    assert row["distance"] <= 0.1
    assert (np.array(row["asymptotic"]) <= np.array(row["limit"])).all()


def test_an_eigenvector_makes_the_count_jump():
    row = right_hand_side(10, 5, 0.1, seed=0)
    assert row["dip_counts"] == [54, 12, 51]
    assert row["around"] < row["dip"]


def test_heat_counts_end_in_rows_that_agree_with_each_other():
    rows = heat("cheb", 6, 50, 0.02, seeds=[0, 1])
    for row in rows:
        assert row["best"] <= row["fixed"] <= min(row["fixed_costs"])
        assert row["over_plain"] == pytest.approx(row["cost"] / row["plain"])
    assert rows[0]["plain"] == rows[1]["plain"]


def test_what_a_learner_keeps_does_not_grow():
    assert len({overhead("cheb", size, rounds, seed=0)["numbers_kept"] for size, rounds in ((3, 5), (6, 12))}) == 1


def test_real_matrices_are_read_by_name():
    if not data.available("sparse-matrices"):
        pytest.skip("data set sparse-matrices is not at hand: set OVERPARAM_DATA to a folder that has sparse-matrices/")
    for name in POSITIVE_DEFINITE:
        A = load_matrix(name)
        assert A.shape[0] == A.shape[1]
        assert abs(A - A.T).max() == 0
        assert A.diagonal().min() > 0
    assert load_matrix("494_bus").shape == (494, 494)
    assert load_matrix("karate").data.tolist() == [1.0] * 156
    assert load_matrix("young1c").dtype == np.complex128
    assert len(NAMES) == 22
    with pytest.raises(BadInput, match="matrix='499_bus' is unknown"):
        load_matrix("499_bus")
