import numpy as np
import pytest

from overparam.lab import Trials
from overparam.papers.robust_recovery import experiments
from overparam.papers.robust_recovery.claims import CLAIMS

CLAIM = {claim.id: claim for claim in CLAIMS}
WIGGLE = (0.1, -0.1, 0.05, 0.0, -0.05)
SMALL = {"d": 8, "r": 1, "m": 150}


def states(claim, rows):
    return [part.state for part in CLAIM[claim].rule.judge(Trials(rows))]


def table(metric, value, wiggle=0.1, **where):
    """A row a seed, around a value."""
    return [{**where, "seed": s, metric: value * (1 + wiggle * w)} for s, w in enumerate(WIGGLE)]


def test_every_claim_names_an_experiment():
    assert [c.id for c in CLAIMS] == ["C1", "C2", "C3", "C4", "C5", "C6"]
    assert all(hasattr(getattr(experiments, c.on), "experiment") for c in CLAIMS)
    assert not any(c.reported for c in CLAIMS)


@pytest.mark.parametrize(("times", "exponent", "found"), [(1.0, 0.6, ["holds"] * 3), (9.0, 0.1, ["fails"] * 3)])
def test_width_may_not_matter_where_the_start_is_small(times, exponent, found):
    rows = []
    for width, factor in (("exact", 1.0), ("double", 1.0), ("full", times)):
        for start in ("spectral", "random"):
            rows += [
                row | {"error_smallest": factor, "error_typical": factor}
                for row in table("exponent", exponent, width=width, start=start)
            ]
    assert states("C1", rows) == found


@pytest.mark.parametrize(("power", "gain", "found"), [(1.0, -5.0, ["holds"] * 4), (2.0, 5.0, ["fails"] * 4)])
def test_steps_have_to_be_linear_in_the_log_of_the_start(power, gain, found):
    rows = [
        {"step": step, "start": "spectral", "seed": s, "log_log": x, "log_steps_to_root": power * x + w,
         "log_steps_to_tenth": power * x + w, "linear_gain": None, "power_slope": None}
        for step in ("polyak", "geometric")
        for x in (1.0, 2.0, 3.0)
        for s, w in enumerate(WIGGLE)
    ]  # fmt: skip
    rows += [
        row | {"power_slope": -power, "step": "polyak", "start": "random", "log_log": None}
        for row in table("linear_gain", gain)
    ]
    assert states("C2", rows) == found


@pytest.mark.parametrize(("error", "rate", "found"), [(1e-3, 1.5, ["holds"] * 6), (0.5, 4.0, ["fails"] * 6)])
def test_every_kind_of_noise_counts(error, rate, found):
    rows = []
    for p, size in ((0.1, 10.0), (0.5, 10.0), (0.5, 1e4), (0.7, 100.0)):
        worse = 9.0 if size == 1e4 and error > 0.1 else 1.0
        rows += table("relative_error", worse * error, kind="outlier", loss="absolute", p=p, size=size)
    rows += table("over_rate", rate, kind="gaussian", loss="absolute", p=0.0, size=0.5)
    assert states("C3", rows) == found


@pytest.mark.parametrize(("sign", "power", "found"), [(1, -0.5, ["holds"] * 4), (-1, -1.0, ["fails"] * 4)])
def test_the_truth_is_no_minimum_and_is_approached(sign, power, found):
    rows = [
        {"seed": s, "log_m": x, "log_error": power * x + w, "loss_below_truth": sign * (0.1 + w / 10),
         "loss_below_small": sign * (0.1 + w / 10), "times_error": 1 + sign * (0.3 + w)}
        for x in (6.0, 7.0, 8.0)
        for s, w in enumerate(WIGGLE)
    ]  # fmt: skip
    assert states("C4", rows) == found


@pytest.mark.parametrize(("gap", "power", "found"), [(0.0, -0.5, ["holds"] * 4), (5.0, -0.2, ["fails"] * 4)])
def test_directions_have_to_agree_with_theory(gap, power, found):
    rows = [
        {"kind": kind, "seed": s, "phi_gap": gap + w, "log_m": x, "log_delta": power * x + w}
        for kind in ("none", "outlier", "gaussian")
        for x in (7.0, 8.0, 9.0)
        for s, w in enumerate(WIGGLE)
    ]
    assert states("C5", rows) == found


@pytest.mark.parametrize(("times", "power", "found"), [(1.0, 1.1, ["holds"] * 2), (1.6, 2.0, ["fails"] * 2)])
def test_measurements_may_grow_with_d_and_not_with_the_width(times, power, found):
    rows = [
        {"d": d, "p": 0.1, "width": width, "seed": s, "log_d": np.log(d), "log_needed": power * np.log(d) + w / 10,
         "needed": (times if width == "full" else 1.0) * d**power * np.exp(w / 10)}
        for d in (12, 20, 30)
        for width in ("double", "full")
        for s, w in enumerate(WIGGLE)
    ]  # fmt: skip
    assert states("C6", rows) == found


def test_the_sabotage_loses_the_matrix():
    point = {**SMALL, "width": "full", "start": "random", "steps": 1500, "seed": 0}
    right, broken = experiments.scale(**point), experiments.scale(**point, sabotage=True)
    assert right["error_smallest"] < 0.1 < broken["error_smallest"]
    assert right["exponent"] > 0.3 > broken["exponent"]
    assert [len(right[f"curve_{k}"]) for k in range(4)] == [len(right["at"])] * 4


def test_an_error_is_reached_later_from_a_smaller_start():
    point = {**SMALL, "step": "polyak", "start": "spectral", "steps": 400, "seed": 0}
    near, far = (experiments.speed(**point, alpha=a) for a in (1e-2, 1e-6))
    assert near["log_steps_to_root"] < far["log_steps_to_root"]
    assert near["log_steps_to_tenth"] <= near["log_steps_to_root"] + 1e-12
    never = experiments.speed(**point | {"steps": 5}, alpha=1e-6)
    assert never["log_steps_to_tenth"] is None


def test_noise_on_every_measurement_has_a_rate_and_outliers_none():
    point = {**SMALL, "steps": 800, "loss": "absolute", "seed": 0}
    gaussian = experiments.noise(**point, kind="gaussian", p=0.0, size=0.5)
    assert gaussian["over_rate"] == pytest.approx(gaussian["relative_error"] / (0.5 * (8 / 150) ** 0.5))
    assert experiments.noise(**point, kind="outlier", p=0.1, size=10.0)["over_rate"] is None


@pytest.mark.slow
def test_the_search_finds_the_edge():
    row = experiments.samples(d=8, r=1, p=0.1, width="double", steps=1200, seed=0)
    assert 8 <= row["needed"] <= 100
    assert row["log_needed"] == pytest.approx(np.log(row["needed"]))
    assert experiments.samples(d=8, r=1, p=0.1, width="double", steps=10, seed=0)["needed"] is None


@pytest.mark.slow
def test_figures_draw_with_what_a_small_run_has():
    from overparam.lab.plots import style, to_svg

    def rows(experiment, **more):
        return [
            {**point, "seed": s, **experiment(**point, seed=s, **more)}
            for point in list(experiment.experiment.grids["smoke"].points())
            for s in range(2)
        ]

    scale, dense, speed = (rows(e) for e in (experiments.scale, experiments.dense, experiments.speed))
    needed = [
        {"d": 20, "r": 3, "p": p, "width": width, "seed": s, "needed": 100 + s}
        for p, width in ((0.1, "exact"), (0.1, "full"), (0.5, "full"))
        for s in range(2)
    ] + [{"d": 20, "r": 3, "p": 0.7, "width": "full", "seed": 0, "needed": None}]
    with style():
        for draw_it, given, words in (
            (experiments.error_by_steps, scale, "The smaller the start, the smaller the error"),
            (experiments.signal_and_residual, scale, "in the range of the truth grows from"),
            (experiments.loss_and_error, dense, "below the loss of the truth"),
            (experiments.error_with_exact_measurements, speed, "to the power −"),
            (experiments.measurements_needed, needed, "1.7 at 10 %, 1.7 at 50 %"),
        ):
            drawing = draw_it(Trials(given))
            assert to_svg(drawing, prefix="f").startswith("<svg")
            assert words in drawing.caption
            assert drawing.caption.endswith(".")
