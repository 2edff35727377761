import pytest
from hypothesis import given
from hypothesis import strategies as st

from overparam.lab.axis import axis_for, groups, plain


def part(estimate, low, high, edge_low=None, edge_high=None, unit=""):
    region = {"low": edge_low, "high": edge_high, "closed": False}
    return {"estimate": estimate, "low": low, "high": high, "unit": unit, "region": region, "name": "x"}


numbers = st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-3)


@given(numbers, st.floats(0, 1e3), numbers)
def test_intervals_and_edges_lie_on_the_axis(middle, half, edge):
    axis = axis_for([part(middle, middle - half, middle + half, edge)])
    for value in (middle - half, middle, middle + half, edge):
        assert axis.low <= value <= axis.high
    assert 3 <= len(axis.ticks) <= 6
    assert axis.ticks[0] == pytest.approx(axis.low)
    positions = [at for at, _ in axis.labels(True)]
    assert positions == sorted(positions)
    assert positions[0] >= 0
    assert positions[-1] <= 100


def test_infinite_ends_reach_the_border():
    axis = axis_for([part(5.0, None, None, 0.0)])
    assert axis.place(None, 0.0) == 0.0
    assert axis.place(None, 100.0) == 100.0
    assert axis_for([part(None, None, None)]).low <= 0


def test_parts_share_an_axis_only_if_alike():
    near = [part(1, 0.5, 1.5, 0.0, unit="points"), part(1.2, 0.4, 2.0, 0.0, unit="points")]
    far = part(100, 50, 150, 0.0, unit="points")
    other = part(1, 0.5, 1.5, 0.0, unit="%")
    assert [len(g) for g in groups([*near, far, other])] == [2, 1, 1]


def test_plain_text_is_ascii():
    assert plain("−3\u202fs").isascii()
