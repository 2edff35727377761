import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overparam import stats
from overparam.errors import BadInput
from overparam.lab import (
    Above,
    AllOf,
    Below,
    Between,
    Computed,
    Contrast,
    Correlation,
    Equivalent,
    Estimated,
    Exact,
    Part,
    Ratio,
    Region,
    Slope,
    Trials,
)
from overparam.lab.model import status_of

RNG = np.random.default_rng(0)
NOISE = RNG.normal(0, 0.1, (6, 3))


def table(f=lambda arm, x, seed: 0.0):
    arms = {"a": 0, "b": 1, "c": 2}
    return Trials(
        {"arm": arm, "x": x, "seed": s, "value": f(arm, x, s), "noise": float(NOISE[s, i])}
        for arm, i in arms.items()
        for x in (1.0, 2.0, 4.0)
        for s in range(6)
    )


def only(rule, trials):
    (part,) = rule.judge(trials)
    return part


@pytest.mark.parametrize(
    ("low", "high", "state"),
    [
        (1, 2, "holds"),
        (-2, -1, "fails"),
        (-1, 1, "unclear"),
        (0, 0, "fails"),
        (0, 1, "unclear"),
        (-math.inf, math.inf, "unclear"),
    ],
)
def test_an_open_region_excludes_its_edge(low, high, state):
    assert Region(low=0.0).state(low, high) == state


def test_a_closed_region_includes_its_edges():
    assert Region(high=0.0, closed=True).state(0.0, 0.0) == "holds"
    assert Region(0.0, 1.0, closed=True).state(1.5, 2.0) == "fails"


def test_above_averages_inside_a_unit_before_the_interval():
    trials = table(lambda arm, x, seed: x + seed)
    part = only(Above("value", 0.0), trials)
    expected = stats.t_interval([7 / 3 + s for s in range(6)])
    assert (part.estimate, part.low, part.high, part.n) == pytest.approx((
        expected.estimate,
        expected.low,
        expected.high,
        6,
    ))
    assert part.state == "holds"
    assert only(Below("value", 0.0), trials).state == "fails"
    assert only(Between("value", 0.0, 100.0), trials).state == "holds"


def test_where_filters_by_value_and_by_several_values():
    trials = table(lambda arm, x, seed: x)
    assert only(Above("value", 0.0, where={"x": 4.0}), trials).estimate == 4.0
    assert only(Above("value", 0.0, where={"x": (1.0, 2.0)}), trials).estimate == 1.5
    with pytest.raises(BadInput, match="no trial has a column 'colour'; it has arm"):
        only(Above("value", 0.0, where={"colour": 1}), trials)
    with pytest.raises(BadInput, match="no trial has a column 'speed'"):
        only(Above("speed", 0.0), trials)


def test_contrast_is_paired_by_unit():
    trials = table(lambda arm, x, seed: 100 * seed + (1.0 if arm == "a" else 0.0))
    rule = Contrast("value", treat={"arm": "a"}, against={"arm": "b"})
    part = only(rule, trials)
    assert (part.estimate, part.low, part.high) == (1.0, 1.0, 1.0)
    assert part.difference
    assert part.state == "holds"
    unpaired = stats.t_interval([100.0 * s for s in range(6)])
    assert unpaired.high - unpaired.low > 100
    swapped = only(Contrast("value", treat={"arm": "b"}, against={"arm": "a"}), trials)
    assert swapped.estimate == -part.estimate
    assert swapped.state == "fails"


def test_contrast_uses_only_units_that_have_both_sides():
    rows = [r for r in table(lambda arm, x, s: s + (arm == "a")).rows if not (r["arm"] == "b" and r["seed"] == 0)]
    assert only(Contrast("value", treat={"arm": "a"}, against={"arm": "b"}), Trials(rows)).n == 5


def test_none_means_not_defined_here():
    trials = table(lambda arm, x, s: None if x == 4.0 else x)
    assert only(Above("value", 0.0), trials).estimate == 1.5
    nothing = only(Above("value", 0.0), table(lambda *_: None))
    assert (nothing.estimate, nothing.n, nothing.state) == (None, 0, "unclear")


def test_one_unit_gives_no_interval_and_so_no_decision():
    trials = Trials([{"seed": 0, "value": 5.0}])
    part = only(Above("value", 0.0), trials)
    assert (part.low, part.high, part.state) == (-math.inf, math.inf, "unclear")


def test_equivalence_needs_the_interval_inside_the_margin():
    trials = table(lambda arm, x, s: float(NOISE[s, 0]) * (arm == "a"))
    rule = lambda margin: Equivalent("value", treat={"arm": "a"}, against={"arm": "b"}, margin=margin)  # noqa: E731
    assert only(rule(1.0), trials).state == "holds"
    assert only(rule(0.01), trials).state == "unclear"  # absence of a difference is not evidence of none
    wide = table(lambda arm, x, s: 5.0 * (arm == "a"))
    assert only(rule(1.0), wide).state == "fails"


def test_ratio_is_geometric():
    trials = table(lambda arm, x, s: 3.0 * (s + 1) if arm == "a" else s + 1.0)
    part = only(Ratio("value", treat={"arm": "a"}, against={"arm": "b"}, above=2.0), trials)
    assert part.estimate == pytest.approx(3.0)
    assert part.state == "holds"


@given(st.floats(-3, 3), st.floats(-5, 5))
def test_slope_recovers_an_exact_slope(slope, shift):
    trials = Trials({"seed": s, "x": x, "y": slope * x + shift + s} for s in range(3) for x in (0.0, 1.0, 3.0))
    part = only(Slope("y", over="x", inside=(-10, 10)), trials)
    assert part.estimate == pytest.approx(slope, abs=1e-9)
    assert part.state == "holds"


def test_correlation_is_of_ranks():
    trials = Trials({"seed": s, "x": x, "y": math.exp(x)} for s in range(3) for x in range(5))
    assert only(Correlation("x", "y", above=0.5), trials).estimate == pytest.approx(1.0)


def test_exact_takes_the_largest_of_all_cases():
    trials = table(lambda arm, x, s: -1e-10 if s == 3 else 0.0)
    part = only(Exact("value", 1e-9), trials)
    assert (part.estimate, part.n, part.state) == (1e-10, 54, "holds")
    assert only(Exact("value", 1e-11), trials).state == "fails"
    assert only(Exact("value", 0.0), table()).state == "holds"


def test_estimated_takes_the_interval_of_the_method():
    trials = Trials([{"seed": 0, "b": 1.0, "b_low": 0.5, "b_high": 2.0}])
    assert only(Estimated("b", above=0.0), trials).state == "holds"
    assert only(Estimated("b", inside=(-0.1, 0.1)), trials).state == "fails"
    two = Trials([{"seed": s, "b": 1.0, "b_low": 0.5, "b_high": 2.0} for s in (0, 1)])
    assert only(Estimated("b", above=0.0), two).state == "unclear"  # which of the two?


def count_rows(trials):
    """Rows are at least three."""
    return Part(
        "rows", "", len(trials), len(trials), len(trials), len(trials), Region(low=3, closed=True), across="case"
    )


def test_computed_is_a_pure_function_with_its_source_in_the_hash():
    rule = Computed(count_rows)
    assert only(rule, table()).state == "holds"
    assert rule.text == "Rows are at least three"
    assert rule.hash == Computed(count_rows).hash
    assert rule.hash != Computed(lambda t: count_rows(t)).hash


def test_all_of_shares_one_error_rate():
    one = Contrast("noise", treat={"arm": "a"}, against={"arm": "b"}, below=0.3)
    two = Contrast("noise", treat={"arm": "a"}, against={"arm": "c"}, below=-5.0)
    three = Contrast("noise", treat={"arm": "a"}, against={"arm": "c"})
    trials = table()
    alone = only(three, trials)
    parts = AllOf(one, two, three).judge(trials)
    assert [p.state for p in parts] == ["holds", "fails", "unclear"]
    assert parts[0].level == pytest.approx(1 - 0.05 / 3)  # decided in the first round, with all three
    assert parts[2].level == pytest.approx(alone.level)  # the last one left is tested at full level
    assert (parts[2].low, parts[2].high) == (alone.low, alone.high)


def test_status_combines_parts():
    part = lambda low, high: Part("", "", low, low, high, 3, Region(low=0.0))  # noqa: E731
    holds, fails, unclear = part(1, 2), part(-2, -1), part(-1, 1)
    assert status_of([holds, holds]) == "reproduced"
    assert status_of([fails, fails]) == "not reproduced"
    assert status_of([holds, fails]) == status_of([holds, unclear]) == "partly"
    assert status_of([fails, unclear]) == status_of([unclear]) == status_of([]) == "inconclusive"


def test_rules_are_data_with_a_hash_of_everything_that_judges():
    rule = Above("value", 0.5, where={"x": 1.0}, name="gain", why="because")
    assert rule.hash == Above("value", 0.5, where={"x": 1.0}, name="gain", why="because").hash
    assert rule.hash != Above("value", 0.6, where={"x": 1.0}, name="gain", why="because").hash
    assert rule.hash != Above("value", 0.5, where={"x": 2.0}, name="gain", why="because").hash
    assert rule.hash != Below("value", 0.5, where={"x": 1.0}, name="gain", why="because").hash
    assert AllOf(rule).hash != rule.hash
    assert AllOf(rule, Above("value", 1.0, why="because")).reasons == ("because",)
    assert "gain above 0.5, over seeds" in AllOf(rule, Below("value", 9)).text
