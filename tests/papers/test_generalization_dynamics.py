import numpy as np
import pytest
import torch

from overparam.errors import Diverged
from overparam.lab import Trials
from overparam.papers.generalization_dynamics import experiments, networks, scales
from overparam.papers.generalization_dynamics.claims import CLAIMS
from overparam.papers.generalization_dynamics.images import CLASSES, WRONG, task

CLAIM = {claim.id: claim for claim in CLAIMS}
WIGGLE = (0.1, -0.1, 0.05, 0.0, -0.05)


def states(claim, rows):
    return [part.state for part in CLAIM[claim].rule.judge(Trials(rows))]


def test_every_claim_names_an_experiment():
    assert all(hasattr(getattr(experiments, c.on), "experiment") for c in CLAIMS)
    assert not any(c.reported for c in CLAIMS)  # none of the paper's figures was read


def test_the_band_holds_or_fails_as_a_whole():
    def rows(off, late):
        return [
            {"alpha": a, "inr": 0.0, "seed": s, "test_off": [0.001 * w, off + 0.001 * w],
             "train_off": [0.0, late if a == 1 else 0.001 * w]}
            for a in (0.5, 1.0, 2.0)
            for s, w in enumerate(WIGGLE)
        ]  # fmt: skip

    assert states("C1", rows(0.0, 0.0)) == ["holds"] * 3
    assert states("C1", rows(0.03, 0.0)) == ["unclear", "holds", "holds"]  # other times are inside
    assert states("C1", rows(0.0, 0.3)) == ["holds", "holds", "unclear"]


def test_the_sabotage_leaves_the_theory():
    point = {"inputs": 60, "alpha": 4.0, "inr": 0.0, "matrices": 4, "teachers": 50}
    fine, broken = (experiments.dynamics(**point, seed=0, sabotage=s) for s in (False, True))
    assert np.abs(fine["test_off"]).max() < 0.04 < np.abs(broken["test_off"]).max()


def test_the_peak_has_to_be_at_alpha_one():
    def rows(top):
        gaps = {0.25: 0.1, 0.5: 0.3, 0.9: 1.0, 1.0: top, 1.1: 1.1, 2.0: 0.4, 4.0: 0.1}
        return [
            {"alpha": a, "seed": s, "gap": g * (1 + 0.1 * w), "early_share": 0.05 + 0.01 * w}
            for a, g in gaps.items()
            for s, w in enumerate(WIGGLE)
        ]

    assert states("C2", rows(3.0)) == ["holds"] * 7
    assert states("C2", rows(0.2))[:2] == ["fails"] * 2


@pytest.mark.parametrize(("place", "state"), [(1.28, "holds"), (9.6, "fails"), (0.48, "fails")])
def test_the_peak_of_trained_networks_is_found_by_ratio(place, state):
    rows = [
        {"scale": scale, "ratio": r, "width": w, "seed": s, "gap": float(r == place) + 0.1 * scale}
        for scale in (0.1, 3.0)
        for w, r in ((3, 0.48), (8, 1.28), (60, 9.6))
        for s in range(5)
    ]
    assert states("C6f", rows)[0] == state


def test_linear_experiments_show_what_they_are_made_for():
    at = {a: experiments.sizes(samples=60, alpha=a, seed=0) for a in (0.5, 1.0, 2.0)}
    assert at[1.0]["gap"] > max(at[0.5]["gap"], at[2.0]["gap"])
    assert at[1.0]["smallest_ratio"] is None
    early, late = (experiments.depths(samples=40, alpha=2.0, depth=d, seed=0)["half_time"] for d in (1, 3))
    assert early < late
    zero, five = (experiments.starts(inputs=60, alpha=0.5, inr=r, seed=0)["final_in_noise"] for r in (0.0, 5.0))
    assert (five - zero) / 5 == pytest.approx(0.5, abs=0.1)
    for features in ("linear", "hidden layer"):
        row = experiments.frozen(weights=20, alpha=0.5, features=features, steps=50, seed=0)
        assert row["null_move"] < 1e-12
        assert abs(row["share_off"]) < 1e-15 < row["move"]
    row = experiments.stopping(inputs=40, alpha=1.0, snr=5.0, seed=0)
    assert 0 < row["gap_theory"] < row["gap_floorless"]
    assert row["log_time_theory"] == pytest.approx(np.log(3.067), abs=1e-3)


def test_a_hidden_layer_peaks_at_its_samples():
    rows = {r: experiments.hidden_layer(samples=40, inputs=10, share=r, seed=0) for r in (0.5, 1.0, 8.0)}
    assert rows[1.0]["final"] > max(rows[0.5]["final"], rows[8.0]["final"])
    assert rows[1.0]["log_learned"] > max(rows[0.5]["log_learned"], rows[8.0]["log_learned"])
    assert rows[8.0]["log_counted"] > rows[1.0]["log_counted"]
    x = np.random.default_rng(0).normal(0.0, 20**-0.5, (200, 20))
    h = networks.hidden_features(3000, 20, 0, x)[0]
    assert (h**2).sum(1).mean() == pytest.approx((x**2).sum(1).mean(), rel=0.1)


def test_a_lesson_has_the_ratio_asked_for():
    given = networks.lesson(50, 10, 4.0, 1)
    assert given.test_y.var() == pytest.approx(1.25, rel=0.1)
    assert (given.x**2).sum(1).mean() == pytest.approx(1.0, rel=0.2)


def test_gradients_are_those_of_autograd():
    rng = np.random.default_rng(0)
    theta, x, y = (torch.from_numpy(rng.normal(size=s)) for s in ((2, 5, 4), (2, 7, 3), (2, 7)))
    theta.requires_grad_()
    loss, slope = networks._descent(theta.detach(), x, y, 0.6)
    outputs = 0.6 * (torch.relu(x @ theta[:, :, :-1].mT) @ theta[:, :, -1:])[:, :, 0]
    expected = (outputs - y).square().sum(1) / 2
    expected.sum().backward()
    torch.testing.assert_close(loss, expected.detach())
    torch.testing.assert_close(slope, theta.grad)


def test_training_goes_on_to_the_end_and_networks_do_not_meet():
    lessons = [networks.lesson(12, 4, 1.0, s) for s in range(2)]
    both = networks.train_both_layers(lessons, 60, 0.5, 3000, range(2))
    assert both.train[-1].max() < 1e-9
    assert both.steps[-1] < 3000  # ended when all had fitted
    alone = networks.train_both_layers(lessons[1:2], 60, 0.5, 50, [1])
    shared = networks.train_both_layers(lessons, 60, 0.5, 50, range(2))
    np.testing.assert_allclose(shared.test[:, 1], alone.test[:, 0], rtol=1e-9)


def test_a_loss_that_is_not_finite_is_named():
    given = networks.lesson(5, 3, 1.0, 0)
    bad = networks.Lesson(given.x, np.full(5, np.inf), given.test_x, given.test_y)
    with pytest.raises(Diverged, match="by step 0; width 4"):
        networks.train_both_layers([bad], 4, 1.0, 5, [0])


def test_a_fifth_of_the_labels_is_wrong_and_only_in_training():
    x, y, test_x, test_y = task("digits", 300, 0)
    assert x.shape == (300, 64)
    assert y.sum(1) == pytest.approx(0.0)
    assert (x**2).sum(1).mean() == pytest.approx(1.0, rel=0.05)
    nearest = (test_x @ x.T - (test_x**2).sum(1, keepdims=True) / 2).argmax(0)
    right = test_y.argmax(1)[nearest] == y.argmax(1)
    assert right.mean() == pytest.approx(1 - WRONG, abs=0.06)
    assert y.shape[1] == CLASSES


@pytest.mark.slow
def test_figures_draw_with_what_a_small_run_has():
    from overparam.lab.plots import style, to_svg

    def rows(function, **change):
        declared = function.experiment
        points = [{**p, **change} for p in declared.grids["smoke"].points()]
        if declared.batched:
            from overparam.lab import Progress

            found = [(p, function(**p, seeds=(0, 1), progress=Progress())) for p in points]
            return [{**p, "seed": s, **row} for p, own in found for s, row in enumerate(own)]
        return [{**p, "seed": s, **function(**p, seed=s)} for p in points for s in range(2)]

    tables = {
        experiments.dynamics: rows(experiments.dynamics, teachers=20),
        experiments.sizes: rows(experiments.sizes, samples=40),
        experiments.hidden_layer: rows(experiments.hidden_layer, samples=40),
        experiments.both_layers: rows(experiments.both_layers, steps=50),
    }
    with style():
        for drawer in (
            experiments.theory_and_simulation, experiments.overtraining_by_size, experiments.error_by_size_and_time,
            experiments.error_by_width, experiments.bounds_by_width, experiments.trained_networks,
        ):  # fmt: skip
            own = next(t for f, t in tables.items() if f.__name__ == drawer.figure_on)
            drawing = drawer(Trials(own))
            assert to_svg(drawing, prefix="f").startswith("<svg")
            assert drawing.caption.endswith(".")
            assert len(drawing.table)


def test_times_start_at_zero_and_hold_the_early_one():
    assert scales.TIMES[0] == 0
    assert np.abs(scales.TIMES - experiments.EARLY).min() < 1e-9
