import numpy as np
import pytest
from sklearn.base import clone

from overparam.errors import BadInput
from overparam.methods.tuning.data_driven_tuner import DataDrivenTuner
from overparam.methods.tuning.piecewise import PiecewiseFunction
from overparam.methods.tuning.task_bounds import observed_deviation, uniform_deviation


def threshold_task(cut):
    return lambda alphas: (alphas[:, None] > [cut, 1 - cut]).astype(int)


TASKS = [threshold_task(c) for c in (0.1, 0.2, 0.35)]
TARGETS = [np.array([1, 0])] * 3


def test_the_tuned_value_beats_every_grid_point():
    tuner = DataDrivenTuner(0.0, 1.0).fit(TASKS, TARGETS)
    grid = np.linspace(0, 1, 2_001)
    utility = np.mean(
        [[(row == t).mean() for row in task(grid)] for task, t in zip(TASKS, TARGETS, strict=True)], axis=0
    )
    assert tuner.utility_ == utility.max()
    assert tuner.maximum_.intervals[0] == pytest.approx((0.35, 0.65), abs=1e-5)
    np.testing.assert_allclose(tuner.curve_(grid), utility, atol=0.4)  # equal but at the breaks
    assert (tuner.curve_(grid) == utility).mean() > 0.99


def test_exact_curves_and_functions_can_be_mixed():
    exact = PiecewiseFunction([0.5], [0.0, 1.0], 0.0, 1.0)
    tuner = DataDrivenTuner(0.0, 1.0).fit([exact, TASKS[0]], [np.empty(0), TARGETS[0]])
    assert tuner.utility_ == 1.0
    assert tuner.maximum_.intervals[0] == pytest.approx((0.5, 0.9), abs=1e-5)


def test_the_certificate_names_both_deviations():
    tuner = DataDrivenTuner(0.0, 1.0).fit(TASKS, TARGETS)
    found = tuner.certificate(breaks=4, delta=0.1)
    assert found.counts == (2, 2, 2)
    assert found.observed == observed_deviation([2, 2, 2], delta=0.1)
    assert found.algebraic == uniform_deviation(3, 4, delta=0.1)
    assert tuner.certificate().algebraic is None


def test_another_utility():
    tuner = DataDrivenTuner(0.0, 1.0, utility=lambda predicted, target: -float(predicted.sum())).fit(TASKS, TARGETS)
    assert tuner.utility_ == 0.0
    assert tuner.alpha_ < 0.1


def test_settings_are_those_of_scikit_learn():
    tuner = clone(DataDrivenTuner(0.0, 2.0, tol=1e-3))
    assert tuner.get_params()["hi"] == 2.0
    assert tuner.fit(TASKS, TARGETS).n_evals_ < DataDrivenTuner(0.0, 2.0).fit(TASKS, TARGETS).n_evals_


@pytest.mark.parametrize(
    ("tasks", "targets", "said"),
    [
        ([], None, "0 tasks"),
        (TASKS, None, "task 0 is a function"),
        (TASKS, TARGETS[:1], "3 tasks, 1 targets"),
        ([PiecewiseFunction([], [1.0], 0.0, 2.0)], None, r"task 0 lives on \[0, 2\]"),
    ],
)
def test_bad_input_is_named(tasks, targets, said):
    with pytest.raises(BadInput, match=said):
        DataDrivenTuner(0.0, 1.0).fit(tasks, targets)
