import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overparam.errors import BadInput
from overparam.methods.measures.grokking import detect_grokking, level_reached


def slow(values, level, keep, hold):
    """The rule, word by word."""
    above = [v >= level for v in values]
    for i in range(len(values) - hold + 1):
        later = range(i, len(values))
        if above[i] and all(sum(above[i : j + 1]) / (j + 1 - i) >= keep - 1e-12 for j in later):
            return float(i)
    return None


@given(
    st.lists(st.sampled_from([0.2, 0.8]), min_size=1, max_size=30),
    st.sampled_from([0.5, 0.75, 0.9, 1.0]),
    st.integers(1, 4),
)
def test_the_rule_is_the_one_in_words(values, keep, hold):
    assert level_reached(values, range(len(values)), 0.5, keep=keep, hold=hold) == slow(values, 0.5, keep, hold)


def test_noise_around_a_step_moves_it_little():
    rng = np.random.default_rng(0)
    steps = np.arange(0, 5000, 10)
    for _ in range(20):
        curve = np.where(steps < 3000, 0.5, 0.95) + 0.02 * rng.normal(size=len(steps))
        assert level_reached(curve, steps, 0.9) == pytest.approx(3000, abs=300)


def test_a_spike_does_not_count_a_rare_dip_does_not_matter_and_a_collapse_does():
    steps = np.arange(100)
    spike, dip, collapse = np.full(100, 0.5), np.full(100, 0.95), np.full(100, 0.95)
    spike[20], dip[50], collapse[80:] = 0.99, 0.1, 0.3
    assert level_reached(spike, steps, 0.9) is None
    assert level_reached(dip, steps, 0.9) == 0
    assert level_reached(dip, steps, 0.9, keep=1.0) == 51
    assert level_reached(collapse, steps, 0.9) is None


def test_the_last_line_alone_confirms_nothing():
    assert level_reached([0.5, 0.5, 0.95], [0, 1, 2], 0.9) is None
    assert level_reached([0.5, 0.5, 0.95], [0, 1, 2], 0.9, hold=1) == 2


def test_rounded_ones_count_as_one():
    assert level_reached(np.full(3, 0.99999994), [1, 2, 3], 1.0) == 1
    assert level_reached([99.99999, 99.99999], [1, 2], 100.0) == 1
    assert level_reached([0.999, 0.999], [1, 2], 1.0) is None


def test_a_level_that_is_never_reached_gives_none_not_zero():
    found = detect_grokking([0.5, 1, 1, 1], [0.5, 0.5, 0.6, 0.6], [0, 1, 10, 100])
    assert (found.fit_step, found.generalise_step, found.delay, found.grokked) == (1, None, None, False)
    found = detect_grokking([0.5, 0.8, 0.8, 0.8], [0.5, 0.95, 0.95, 0.95], [0, 1, 10, 100])
    assert (found.fit_step, found.delay, found.test_at_fit, found.grokked) == (None, None, None, False)


def test_an_ordinary_lag_is_not_grokking():
    lag = detect_grokking([0.5, 0.9, 1, 1, 1], [0.5, 0.7, 0.85, 0.92, 0.93], range(5))
    assert (lag.delay, lag.test_at_fit, lag.grokked) == (1, 0.85, False)
    ahead = detect_grokking([0.5, 0.9, 0.95, 1, 1], [0.5, 0.91, 0.92, 0.92, 0.93], range(5))
    assert (ahead.delay, ahead.grokked) == (-2, False)


def test_test_accuracy_may_be_logged_less_often():
    train = np.where(np.arange(100) < 20, 0.5, 1.0)
    found = detect_grokking(train, [0.5, 0.52, 0.95, 0.96], range(100), test_steps=[0, 15, 60, 90])
    assert (found.fit_step, found.generalise_step, found.delay, found.test_at_fit) == (20, 60, 40, 0.52)
    assert found.grokked


def test_the_unit_of_steps_only_scales_the_delay():
    train, test = [0.4, 1, 1, 1, 1], [0.5, 0.5, 0.6, 0.95, 0.95]
    one, two = (detect_grokking(train, test, u * np.arange(1, 6)) for u in (1, 1000))
    assert two.delay == 1000 * one.delay


@pytest.mark.parametrize(
    ("values", "steps", "more", "says"),
    [
        ([], [], {}, "at least one"),
        ([1.0], [1, 2], {}, "give one value a step"),
        ([1.0, np.nan], [1, 2], {}, "not finite"),
        ([1.0, 1.0], [2, 2], {}, "2 is followed by 2"),
        ([1.0, 1.0], [1, 2], {"keep": 0.0}, "keep=0.0"),
        ([1.0, 1.0], [1, 2], {"hold": 0}, "hold=0"),
    ],
)
def test_logs_are_checked(values, steps, more, says):
    with pytest.raises(BadInput, match=says):
        level_reached(values, steps, 0.9, **more)
