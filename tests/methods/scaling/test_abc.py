import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overparam.errors import BadInput
from overparam.methods.scaling.abc import ABC, REGIMES, scan_points

FINITE = st.floats(-3, 3, allow_nan=False)


def test_the_table_of_the_paper():
    assert (ABC.ntk(3).a, ABC.ntk(3).b, ABC.ntk(3).c) == ((0, 0.5, 0.5, 0.5), (0, 0, 0, 0), 0)
    assert (ABC.mup(3).a, ABC.mup(3).b) == ((-0.5, 0, 0, 0.5), (0.5, 0.5, 0.5, 0.5))
    assert [p.r() for p in (ABC.sp(3), ABC.ntk(3), ABC.mup(3), ABC.mean_field())] == [0.5, 0.5, 0, 0]
    assert [p.regime() for p in (ABC.sp(3), ABC.sp(3, c=0), ABC.mup(3))] == ["kernel", "unstable", "feature"]
    assert ABC.sp(2, c=2).regime() == "trivial"


def test_one_layer_of_mup_is_the_mean_field_in_another_gauge():
    assert ABC.mup(1).shift(0.5) == ABC.mean_field()


def test_layers_move_as_was_measured():
    assert ABC.sp(2).movement_exponents() == (1.5, 0.5)
    assert ABC.ntk(3).movement_exponents() == (0.5, 0.5, 0.5)
    assert [p.output_exponent() for p in (ABC.sp(2), ABC.ntk(2), ABC.mup(2))] == [0, 0, 0]
    assert ABC.sp(2, c=2).output_exponent() == 1


def test_only_standard_outputs_start_away_from_zero():
    assert [p.starts_at_zero() for p in (ABC.sp(2), ABC.ntk(2), ABC.mup(2), ABC.mean_field())] == [False] * 2 + [
        True
    ] * 2


@given(st.lists(FINITE, min_size=3, max_size=3), st.lists(FINITE, min_size=3, max_size=3), FINITE, FINITE)
def test_nothing_depends_on_the_gauge(a, b, c, theta):
    abc = ABC(tuple(a), tuple(b), c)
    other = abc.shift(theta)
    assert other.movement_exponents() == pytest.approx(abc.movement_exponents(), abs=1e-9)
    assert other.output_exponent() == pytest.approx(abc.output_exponent(), abs=1e-9)
    assert other.shift(-theta).c == pytest.approx(abc.c, abs=1e-12)


@pytest.mark.parametrize("regime", REGIMES)
def test_points_have_the_regime_that_was_asked_for_and_differ(regime):
    points = scan_points(regime, 200, np.random.default_rng(0))
    assert {p.regime() for p in points} == {regime}
    assert len(set(points)) == 200
    if regime in ("kernel", "trivial"):
        assert min(p.r() for p in points) >= 0.25 - 1e-9


def test_uniform_draws_are_all_unstable():
    rng = np.random.default_rng(0)
    drawn = [ABC(tuple(rng.uniform(-1, 1, 3)), tuple(rng.uniform(-1, 1, 3)), rng.uniform(-1, 1)) for _ in range(200)]
    assert {p.regime() for p in drawn} == {"unstable"}


def test_bad_input_is_named():
    with pytest.raises(BadInput, match="a has 2 exponents and b 3"):
        ABC((0, 0), (0, 0, 0), 0)
    with pytest.raises(BadInput, match="2 at least"):
        ABC((0,), (0,), 0)
    with pytest.raises(BadInput, match="finite"):
        ABC((0, float("nan")), (0, 0), 0)
    with pytest.raises(BadInput, match="depth=0"):
        ABC.ntk(0)
    with pytest.raises(BadInput, match="regime='lazy' is unknown"):
        scan_points("lazy", 1, np.random.default_rng(0))
    with pytest.raises(BadInput, match="count=-1"):
        scan_points("kernel", -1, np.random.default_rng(0))
