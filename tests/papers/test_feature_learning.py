import numpy as np
import pytest

from overparam.lab import Trials
from overparam.lab.experiment import Progress
from overparam.papers.feature_learning import experiments
from overparam.papers.feature_learning.claims import CLAIMS

CLAIM = {claim.id: claim for claim in CLAIMS}
WIGGLE = (0.01, -0.01, 0.005, 0.0, -0.005)
WIDTHS = (256, 1024)


def states(claim, rows):
    return [part.state for part in CLAIM[claim].rule.judge(Trials(rows))]


def power_laws(**exponents):
    """Rows of the experiment on movement: parametrisation to exponents of its columns."""
    return [
        {"parametrisation": name.replace("_", " ") if name != "fixed" else "SP, rate fixed", "width": n, "seed": s,
         "log_width": np.log(n)}
        | {f"log_{k}": (e + w) * np.log(n) for k, e in columns.items()}
        for name, columns in exponents.items()
        for n in WIDTHS
        for s, w in enumerate(WIGGLE)
    ]  # fmt: skip


def kinds(rest=0.0, features=0.0, outputs=0.0, kernel=0.0):
    return {"first": rest, "features": features, "outputs": outputs, "kernel": kernel}


def test_every_claim_names_an_experiment_or_says_why_it_cannot():
    assert [c.id for c in CLAIMS if c.untestable] == ["C4g"]
    assert all(hasattr(getattr(experiments, c.on), "experiment") for c in CLAIMS if c.rule)
    assert {"C1", "C2", "C3", "C4", "C5", "C6", "X5"} <= set(CLAIM)


def test_a_kernel_regime_freezes_features_but_not_outputs():
    rows = power_laws(SP=kinds(features=-0.5), NTK=kinds(features=-0.5), fixed=kinds(outputs=1.0))
    assert states("C1", rows) == ["holds"] * 5
    rows = power_laws(SP=kinds(outputs=-0.5), NTK=kinds(outputs=-0.5), fixed=kinds())
    assert states("C1", rows) == ["fails"] * 5


def test_maximal_updates_move_alike_in_every_layer():
    assert states("C2", power_laws(muP=kinds(), mean_field=kinds())) == ["holds"] * 4
    broken = power_laws(muP=kinds(rest=0.5, features=0.5, outputs=1.0), mean_field=kinds(features=-0.5))
    assert states("C2", broken) == ["fails"] * 4


def test_the_kernel_stays_or_moves():
    good = power_laws(SP=kinds(kernel=-1.0), NTK=kinds(kernel=-0.5), muP=kinds())
    assert states("C3k", good) == ["holds"] * 3
    assert states("C3k", power_laws(SP=kinds(), NTK=kinds(), muP=kinds(kernel=-0.5))) == ["fails"] * 3


def test_regimes_have_to_agree_overall_and_one_by_one():
    def rows(**share):
        names = ("all", "feature", "kernel", "trivial", "unstable")
        return [{"seed": s, **{f"agreement_{k}": share.get(k, 1.0) for k in names}} for s in range(5)]

    assert states("C3", rows()) == ["holds"] * 5
    assert states("C3", rows(all=0.9, kernel=0.6)) == ["fails", "holds", "fails", "holds", "holds"]


def test_the_gap_to_the_limit_falls_as_a_root():
    def rows(exponent):
        return [
            {"width": n, "log_width": np.log(n), "log_gap": (exponent + w) * np.log(n), "seed": s}
            for n in WIDTHS
            for s, w in enumerate(WIGGLE)
        ]

    assert states("C4", rows(-0.5)) == ["holds"]
    assert states("C4", rows(0.0)) == ["fails"]


def test_curves_have_to_collapse_and_the_best_rate_to_stay():
    def rows(gap, drift):
        return [
            {"parametrisation": k, "seed": s, "gap": g * (1 + w), "drift": d + w * (k == "SP")}
            for k, g, d in (("SP", 1.0, 2.0), ("muP", gap, drift))
            for s, w in enumerate(WIGGLE)
        ]

    assert states("X5", rows(0.1, 0.0)) == ["holds", "holds"]
    assert states("X5", rows(0.5, 3.0)) == ["fails", "fails"]


def test_movement_and_its_sabotage():
    def exponent(metric, **more):
        logs = [
            np.mean([r[metric] for r in experiments.movement("muP", width, range(4), **more)]) for width in (128, 512)
        ]
        return (logs[1] - logs[0]) / np.log(4)

    assert abs(exponent("log_features")) < 0.1
    assert exponent("log_features", sabotage=True) > 0.25
    assert exponent("log_start") == pytest.approx(-0.5, abs=0.1)


def test_drawn_points_and_gauges():
    row = experiments.dichotomy(widest=128, networks=1, points=1, seed=0)
    assert len(row["r"]) == len(row["slope"]) == len(row["regime"]) == 3  # the unstable one has no exponent
    assert 0 <= row["agreement_all"] <= 1
    assert experiments.gauge(width=20, points=1, seed=0)["gap"] < 1e-12


def test_a_drawn_network_stays_near_its_limit():
    near, far = (experiments.limit(width=n, steps=5, seed=0) for n in (1024, 64))
    assert near["gap"] < far["gap"]
    assert near["loss"] == far["loss"]  # of the limit


def test_rates_and_their_sabotage(monkeypatch):
    monkeypatch.setattr(experiments, "RATES", (2.0**-6, 2.0**-4))
    found = {
        (k, sabotage): experiments.transfer(k, 256, 64, 0, Progress(), sabotage=sabotage)
        for k, sabotage in (("SP", False), ("muP", False), ("muP", True))
    }
    assert found["muP", False]["gap"] < found["SP", False]["gap"]
    assert found["muP", False]["gap"] < found["muP", True]["gap"]
    assert found["SP", False]["losses"][:2] == found["muP", False]["losses"][:2]  # the base width
    assert found["SP", False]["widths"] == [64, 128, 256]


def test_figures_draw_with_what_a_small_run_has():
    from overparam.lab.plots import style, to_svg

    moved = power_laws(
        SP=kinds(features=-0.5), NTK=kinds(features=-0.5), muP=kinds(), mean_field=kinds(), fixed=kinds(features=1.0)
    )
    drawn = [
        {"seed": s, "agreement_all": 0.9, "r": [0.0, 0.5, 0.6], "slope": [0.0, -0.5, -0.6], "regime": [0, 1, 2]}
        for s in (0, 1)
    ]
    gaps = [{"width": n, "steps": 7, "seed": s, "gap": (1 + 0.1 * s) * n**-0.5} for n in WIDTHS for s in (0, 1)]
    losses = [
        {"parametrisation": k, "seed": s, "gap": 0.5, "widths": [64, 128], "losses": [2.0, 1.5, 1.0] * 6}
        for k in ("SP", "muP")
        for s in (0, 1)
    ]
    with style():
        for draw_it, rows, words in (
            (experiments.feature_change, moved, "0.00 under maximal updates, −0.50 in the NTK"),
            (experiments.predicted_and_measured, drawn, "regime of 90%"),
            (experiments.gap_to_the_limit, gaps, "along 7 steps"),
            (experiments.loss_by_rate, losses, "0.50 in the standard"),
        ):
            drawing = draw_it(Trials(rows))
            assert to_svg(drawing, prefix="f").startswith("<svg")
            assert words in drawing.caption
            assert drawing.caption.endswith(".")
