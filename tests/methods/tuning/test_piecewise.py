import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overparam.errors import BadInput
from overparam.methods.tuning.piecewise import PiecewiseFunction


@st.composite
def functions(draw, degree=0):
    count = draw(st.integers(0, 6))
    breaks = sorted(draw(st.lists(st.integers(1, 999), min_size=count, max_size=count, unique=True)))
    pieces = draw(
        st.lists(
            st.lists(st.integers(-20, 20), min_size=degree + 1, max_size=degree + 1),
            min_size=count + 1,
            max_size=count + 1,
        )
    )
    return PiecewiseFunction(np.array(breaks) / 1000, np.array(pieces) / 4, 0.0, 1.0)


POINTS = np.concatenate([np.linspace(0, 1, 401), np.random.default_rng(0).random(200)])


@given(st.lists(functions(), min_size=1, max_size=5), functions(degree=2))
def test_the_mean_of_functions_is_the_mean_of_their_values(steps, curve):
    everything = [*steps, curve]
    np.testing.assert_allclose(
        PiecewiseFunction.mean(everything)(POINTS), np.mean([f(POINTS) for f in everything], axis=0), atol=1e-12
    )


@given(functions(degree=3))
def test_the_maximum_is_never_below_a_grid_and_is_attained(f):
    found = f.argmax()
    assert found.value >= f(POINTS).max() - 1e-9
    sides = [f(max(0.0, found.alpha - 1e-9)), f(found.alpha), f(min(1.0, found.alpha + 1e-9))]
    assert min(abs(v - found.value) for v in sides) < 1e-6


@given(functions())
def test_all_maximisers_of_a_step_function_are_found(f):
    found = f.argmax()
    inside = np.zeros(len(POINTS), dtype=bool)
    for left, right in found.intervals:
        inside |= (left <= POINTS) & (right > POINTS) | ((right == POINTS) & (right == 1.0))
    np.testing.assert_array_equal(f(POINTS) == found.value, inside)
    assert f(found.alpha) == found.value  # an interior point of the widest


def test_values_at_a_break_are_those_on_its_right():
    f = PiecewiseFunction([0.5], [[0.0, 1.0], [3.0, 0.0]], 0.0, 1.0)
    assert f([0.25, 0.5]).tolist() == [0.25, 3.0]


def test_oscillations_are_jumps_and_inner_maxima():
    parabola = [0.0, 1.0, -1.0]  # largest at 1/2
    assert PiecewiseFunction([], [parabola], 0.0, 1.0).oscillations() == 1
    assert PiecewiseFunction([], [parabola], 0.6, 1.0).oscillations() == 0
    assert PiecewiseFunction([0.2, 0.4], [1.0, 2.0, 2.0], 0.0, 1.0).oscillations() == 1
    assert PiecewiseFunction([], [[0.0, -1.0, 1.0]], 0.0, 1.0).oscillations() == 0  # a minimum


def test_breaks_at_one_place_are_merged():
    one, two = (PiecewiseFunction([0.5], v, 0.0, 1.0) for v in ([0.0, 1.0], [2.0, 1.0]))
    mean = PiecewiseFunction.mean([one, two])
    assert mean.breaks.tolist() == [0.5]
    assert mean.argmax().intervals == ((0.0, 1.0),)
    assert mean.oscillations() == 0


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: PiecewiseFunction([], [1.0], 1.0, 0.0), "lo < hi"),
        (lambda: PiecewiseFunction([0.5], [1.0], 0.0, 1.0), "one piece more"),
        (lambda: PiecewiseFunction([0.6, 0.5], [1.0, 2.0, 3.0], 0.0, 1.0), "rise inside"),
        (lambda: PiecewiseFunction([1.0], [1.0, 2.0], 0.0, 1.0), "rise inside"),
        (lambda: PiecewiseFunction([], [np.nan], 0.0, 1.0), "finite"),
        (lambda: PiecewiseFunction([], [1.0], 0.0, 1.0)(2.0), r"outside \[0, 1\]"),
        (lambda: PiecewiseFunction.mean([]), "no functions"),
        (
            lambda: PiecewiseFunction.mean([PiecewiseFunction([], [1.0], 0.0, h) for h in (1.0, 2.0)]),
            "different intervals",
        ),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(BadInput, match=said):
        call()
