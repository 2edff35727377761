import numpy as np
import pytest

from overparam.errors import BadInput
from overparam.methods.theory.linear_dynamics import generalization_error, training_error
from overparam.methods.theory.linear_teacher import LinearTeacher, simulate
from overparam.methods.theory.marchenko_pastur import edges

TIMES = [0.0, 0.5, 3.0, 50.0]


@pytest.mark.parametrize("alpha", [0.5, 2.0])
def test_the_theory_is_the_mean_of_simulations(alpha):
    curves = simulate(LinearTeacher(150, alpha, 5.0, 2.0), TIMES, matrices=20, teachers=100)
    np.testing.assert_allclose(curves.test.mean((0, 1)), generalization_error(TIMES, alpha, 5.0, 2.0), rtol=0.03)
    theory = training_error(TIMES, alpha, 5.0, 2.0)
    np.testing.assert_allclose(curves.train.mean((0, 1)), theory, atol=0.04 * theory[0])
    assert curves.smallest.mean() == pytest.approx(edges(alpha)[0], rel=0.25)  # at this size the edge lies inside


def test_samples_have_the_right_shapes_and_variances():
    world = LinearTeacher(400, 0.5, 4.0, 3.0)
    drawn = world.sample(1, teachers=300)
    assert drawn.features.shape == (200, 400)
    assert (drawn.features**2).sum(1).mean() == pytest.approx(1.0, rel=0.02)
    noise = drawn.targets - drawn.features @ drawn.teacher
    variances = [v.var() for v in (drawn.teacher, noise, drawn.start)]
    assert variances == pytest.approx([1.0, 0.25, 0.75], rel=0.03)


def test_seeds_differ_and_repeat_and_share_inputs_between_variances():
    first, again, other = (LinearTeacher(6, 1.0, 5.0).sample(s) for s in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert (first.features != other.features).all()
    louder = LinearTeacher(6, 1.0, 1.25, 1.0).sample(1)
    np.testing.assert_array_equal(louder.features, first.features)
    noises = [d.targets - d.features @ d.teacher for d in (louder, first)]
    np.testing.assert_allclose(noises[0], 2 * noises[1], rtol=1e-9)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"inputs": 0}, "inputs=0"),
        ({"alpha": -1.0}, "alpha=-1.0"),
        ({"alpha": 0.01}, "alpha=0.01"),
        ({"snr": 0.0}, "snr=0.0"),
        ({"inr": -1.0}, "inr=-1.0"),
    ],
)
def test_arguments_are_checked(given, says):
    with pytest.raises(BadInput, match=says):
        LinearTeacher(**{"inputs": 10, "alpha": 0.5, "snr": 5.0, **given})


def test_counts_are_checked():
    with pytest.raises(BadInput, match="matrices=0, teachers=1"):
        simulate(LinearTeacher(10, 0.5, 5.0), [1.0], matrices=0)
