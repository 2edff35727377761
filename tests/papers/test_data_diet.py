import importlib

import numpy as np
import pytest
import torch

from overparam import data
from overparam.errors import BadInput
from overparam.lab import Trials
from overparam.lab.experiment import Progress
from overparam.models.streams import draw
from overparam.papers.data_diet import experiments
from overparam.papers.data_diet.claims import CLAIMS, PAPER
from overparam.papers.data_diet.dynamics import subsets_by_score
from overparam.papers.data_diet.scores import early_scores, early_steps, forget_scores, score_of, subset_by
from overparam.papers.data_diet.setting import build, read_task, recipe_for

SMALL = {"data": "digits", "size": 300, "model": "mlp-128", "epochs": 2, "runs": 2}
CLAIM = {claim.id: claim for claim in CLAIMS}


@pytest.fixture(scope="module", autouse=True)
def artefacts(tmp_path_factory):
    """Scores are computed once for the whole module."""
    patch = pytest.MonkeyPatch()
    patch.setenv("OVERPARAM_CACHE", str(tmp_path_factory.mktemp("artefacts")))
    yield
    patch.undo()


def rows(*arms):
    """A table of trials: parameters and one accuracy a seed."""
    return Trials(
        {"times": 1, **where, "seed": seed, "accuracy": value}
        for where, values in arms
        for seed, value in enumerate(values)
    )


def states(claim, trials):
    return [part.state for part in CLAIM[claim].rule.judge(trials)]


def test_every_claim_names_an_experiment_and_the_paper_its_code():
    assert [c.id for c in CLAIMS] == ["C1", "C2", "C3", "C4", "C5", "C6", "C6h", "C7"]
    assert all(hasattr(getattr(experiments, c.on), "experiment") for c in CLAIMS)
    assert PAPER.code.startswith("https://github.com/")


def test_pruning_before_training_is_not_reproduced_where_it_is_no_better_than_random():
    random = [90.0, 91.0, 90.5, 90.2]
    worse = rows(({"score": "grand-init", "keep": 0.5}, [r - 3 - 0.1 * k for k, r in enumerate(random)]),
                 ({"score": "random", "keep": 0.5}, random))  # fmt: skip
    better = rows(({"score": "grand-init", "keep": 0.5}, [r + 3 - 0.1 * k for k, r in enumerate(random)]),
                  ({"score": "random", "keep": 0.5}, random))  # fmt: skip
    assert states("C3", worse) == ["fails"]
    assert states("C3", better) == ["holds"]


def test_half_needs_no_loss_and_an_improvement():
    full = [95.0, 95.2, 94.9, 95.1, 95.3]
    wiggle = [0.1, -0.1, 0.05, 0.0, -0.05]

    def arms(gain):
        return rows(
            ({"arm": "all"}, full),
            ({"arm": "el2n"}, [f + gain + w for f, w in zip(full, wiggle, strict=True)]),
            ({"arm": "random"}, [f - 2 for f in full]),
        )

    assert states("C2", arms(0.5)) == ["holds", "holds", "holds"]
    assert states("C2", arms(0.0)) == ["holds", "holds", "unclear"]
    assert states("C2", arms(-1.0)) == ["holds", "fails", "fails"]


def test_human_labels_vanish_from_the_plan_where_they_are_not_at_hand(monkeypatch):
    monkeypatch.setattr(data, "available", lambda name: name == "digits")
    grids = experiments.human_labels.experiment.grids
    assert list(grids["laptop"].points()) == []
    points = list(experiments.pruning.experiment.grids["laptop"].points())
    assert {p["data"] for p in points} == {"digits"}
    assert {p["labels"] for p in experiments.detection.experiment.grids["laptop"].points()} == {"permuted"}


def test_human_labels_are_planned_where_both_data_sets_are_at_hand(monkeypatch):
    monkeypatch.setattr(data, "available", lambda name: True)
    points = list(experiments.human_labels.experiment.grids["laptop"].points())
    assert {(p["data"], p["annotations"]) for p in points} == {("cifar10", "cifar10n")}


def test_scoring_and_final_training_share_no_weights():
    task = read_task("digits", 300)
    scoring = [build("mlp-128", task, draw(1, 0, r))[1].weight for r in range(3)]
    final = build("mlp-128", task, draw(2, 0))[1].weight
    assert not any(torch.equal(w, final) for w in scoring)


def test_steps_do_not_depend_on_the_subset():
    assert recipe_for("mlp-128", 6000, 15).steps == 1395
    assert recipe_for("resnet18", 50_000, 200).steps == 78_000
    assert early_steps("mlp-128", 6000) == (0, 19, 93, 186)


def test_artefacts_have_their_shapes():
    table = early_scores(**SMALL, seed=0)
    assert table["el2n"].shape == table["grand"].shape == (4, 2, 300)
    assert 0 <= table["el2n"].min() <= table["el2n"].max() <= np.sqrt(2)
    forget = forget_scores(data="digits", size=300, model="mlp-128", epochs=2, seed=0)["forget"]
    assert forget.shape == (300,)
    assert not np.isnan(forget).any()


def test_scores_by_name():
    task = read_task("digits", 300)
    assert score_of("input-norm", task, 0).shape == (300,)
    table = early_scores(**SMALL, seed=0)
    np.testing.assert_array_equal(score_of("grand-init", task, 0, **SMALL), table["grand"][0].mean(0))
    np.testing.assert_array_equal(score_of("el2n", task, 0, **SMALL), table["el2n"][-1].mean(0))
    assert not np.array_equal(score_of("el2n:mlp-64", task, 0, **SMALL), score_of("el2n:rate-2", task, 0, **SMALL))


def test_sabotage_keeps_the_other_half():
    task = read_task("digits", 300)
    kept = subset_by("el2n", task, 0.5, 0, False, **SMALL)
    broken = subset_by("el2n", task, 0.5, 0, True, **SMALL)
    assert not set(kept) & set(broken)
    np.testing.assert_array_equal(subset_by("all", task, 1.0, 0, True), np.arange(300))


def test_a_trial_is_repeatable_and_seeds_differ():
    first = experiments.pruning(**SMALL, score="el2n", keep=0.5, times=1, seeds=[0, 1], progress=Progress())
    again = experiments.pruning(**SMALL, score="el2n", keep=0.5, times=1, seeds=[0, 1], progress=Progress())
    assert first == again
    assert first[0] != first[1]


def test_wrong_labels_are_scored_high():
    found = experiments.detection(**{**SMALL, "size": 1200}, annotations="digits", labels="permuted", seed=0)
    assert found["last_area"] > 0.8
    broken = experiments.detection(
        **{**SMALL, "size": 1200}, annotations="digits", labels="permuted", seed=0, sabotage=True
    )
    assert broken["last_area"] == pytest.approx(1 - found["last_area"])


def test_dynamics_end_without_a_barrier():
    row = experiments.dynamics(**SMALL, whole=2, examples=5, seed=0, progress=Progress())
    assert row["spawn"][-1] == 2
    assert all(row[f"barrier_{name}"][-1] == 0 for name in ("lowest", "random", "highest"))
    assert len(row["velocity_highest"]) == len(row["spawn"]) - 1


def test_subsets_by_score():
    subsets = subsets_by_score(np.arange(10.0)[::-1], 3, seed=0)
    assert sorted(subsets["lowest"]) == [7, 8, 9]
    assert sorted(subsets["highest"]) == [0, 1, 2]
    assert len(set(subsets["random"])) == 3


def test_human_labels_need_images_in_their_order(monkeypatch):
    setting = importlib.import_module("overparam.papers.data_diet.setting")
    monkeypatch.setattr(setting, "load_cifar10n", lambda kind: np.zeros(300, dtype=np.int64))
    with pytest.raises(BadInput, match="not in the order of CIFAR-10N"):
        read_task("digits", 300, "worst")


def test_figures_draw_with_what_a_small_run_has():
    from overparam.lab.plots import style, to_svg

    table = [
        {"score": s, "keep": k, "times": 1, "seed": seed, "accuracy": 90 + k + seed, "smallest_class": 9.0}
        for s in ("el2n", "random", "grand-init")
        for k in (0.5, 0.3)
        for seed in range(2)
    ]
    with style():
        for draw_it in (experiments.share_kept, experiments.training_length):
            drawing = draw_it(Trials(table))
            assert to_svg(drawing, prefix="f").startswith("<svg")
            assert drawing.caption
