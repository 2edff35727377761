import math

import numpy as np
import pytest
import torch

from overparam.lab import Trials
from overparam.lab.experiment import Progress
from overparam.methods.measures.hessian_operator import HessianOperator
from overparam.methods.measures.outliers import count_outliers
from overparam.models.mlp import mlp
from overparam.models.streams import draw
from overparam.papers.hessian_spectrum import experiments, setting
from overparam.papers.hessian_spectrum.claims import CLAIMS, PAPER
from overparam.papers.hessian_spectrum.setting import (
    LOSS,
    Spectrum,
    blobs,
    gradient_in_top,
    images,
    outlier_metrics,
    spectrum_of,
    train,
)
from overparam.papers.hessian_spectrum.solutions import Run, between, network, walk

CLAIM = {claim.id: claim for claim in CLAIMS}
WIGGLE = (-0.02, -0.01, 0.0, 0.01, 0.02)


def states(claim, rows):
    return [part.state for part in CLAIM[claim].rule.judge(Trials(rows))]


def test_every_claim_names_an_experiment_and_the_paper_its_sources():
    assert {c.id for c in CLAIMS} >= {"C1", "C2", "C3", "C3b", "C4", "C5", "C6", "C7"}
    assert all(hasattr(getattr(experiments, c.on), "experiment") for c in CLAIMS)
    assert PAPER.fidelity == "reconstruction"
    assert not any(c.reported for c in CLAIMS)  # the figures we know are from memory


def spectra(*, share=0.9, contrast=0.6, ratio=0.7, gap=1, labels="true"):
    base = {"near_zero_share": share, "contrast": contrast, "log_ratio": ratio}
    return [
        {"labels": labels, "classes": k, "seed": s, "largest_gap": gap, **{n: v + w for n, v in base.items()}}
        for s, w in enumerate(WIGGLE)
        for k in (10, 5)
    ]


def test_outliers_need_a_bulk_a_cliff_and_the_right_number():
    assert states("C1", spectra()) == ["holds"] * 5
    assert states("C1", spectra(share=0.5))[0] == "fails"
    assert states("C1", spectra(contrast=-0.3))[1] == "fails"
    assert states("C1", spectra(ratio=0.1))[2] == "fails"
    assert states("C1", spectra(gap=0))[3:] == ["fails", "fails"]
    mixed = spectra() + spectra(share=0.1, contrast=-1, ratio=0.0, gap=0, labels="random")
    assert states("C1", mixed) == ["holds"] * 5  # random labels are a baseline and judge nothing


def widths(exponent, share):
    return [
        {"width": w, "seed": s, "log_parameters": math.log(26 * w + 5), "near_zero_share": share * math.log(w),
         "log_outliers": (exponent + noise) * math.log(26 * w + 5) if w > 6 else None}
        for s, noise in enumerate(WIGGLE)
        for w in (6, 12, 24, 48, 96)
    ]  # fmt: skip


def test_outliers_that_follow_the_width_are_not_the_same_outliers():
    assert states("C2", widths(0.05, 0.1)) == ["holds", "holds"]
    assert states("C2", widths(-0.6, 0.1)) == ["fails", "holds"]
    assert states("C2", widths(0.0, -0.1)) == ["holds", "fails"]


def clusters(bulk, outliers, counted):
    return [
        {"clusters": k, "separation": d, "seed": s, "log_clusters": math.log(k), "log_separation": math.log(d),
         "above_edge": outliers * k, "counted": counted, "log_bulk": bulk * math.log(k) + noise * math.log(d)}
        for s, noise in enumerate(WIGGLE)
        for k in (2, 3, 5, 8)
        for d in (1.0, 1.5, 3.0)
    ]  # fmt: skip


def test_both_halves_of_the_third_claim_are_judged_apart():
    assert states("C3", clusters(2.0, 1, 1)) == ["holds", "holds"]
    assert states("C3b", clusters(2.0, 1, 1)) == ["fails", "holds"]
    assert states("C3", clusters(0.0, -1, 0)) == ["fails", "fails"]
    assert states("C3b", clusters(0.0, -1, 0)) == ["holds", "holds"]


def test_one_rounding_error_too_many_refutes_the_identity():
    rows = [{"split_error": 1e-14, "rank_excess": 0, "seed": s} for s in range(3)]
    assert states("C4", rows) == ["holds", "holds"]
    assert states("C4", [*rows, {"split_error": 1e-3, "rank_excess": 0, "seed": 3}]) == ["fails", "holds"]
    assert states("C4", [*rows, {"split_error": 0.0, "rank_excess": 1, "seed": 3}]) == ["holds", "fails"]


def solutions(other, share, distance):
    return [
        {"barrier_other": other + w, "barrier_share": max(0.0, share + w / 10), "distance_share": distance, "seed": s}
        for s, w in enumerate(WIGGLE)
    ]


def test_no_barrier_counts_only_where_the_control_has_one_and_the_ends_are_apart():
    assert states("C6", solutions(1.0, 0.0, 0.3)) == ["holds"] * 3
    assert states("C6", solutions(0.05, 0.0, 0.3))[0] == "fails"
    assert states("C6", solutions(1.0, 0.5, 0.3))[1] == "fails"
    assert states("C6", solutions(1.0, 0.0, 0.01))[2] == "fails"


def test_clusters_lie_where_they_should():
    x, y = blobs(20_000, 5, 20, 1.5, draw(0, 0))
    assert torch.bincount(y).tolist() == [4000] * 5
    centres = torch.stack([x[y == k].mean(0) for k in range(5)])
    torch.testing.assert_close(centres.norm(dim=1), torch.full((5,), 1.5 * 2**0.5).double(), rtol=0.1, atol=0)
    assert float((x - centres[y]).std()) == pytest.approx(1, abs=0.01)
    many = blobs(4000, 2000, 20, 1.5, draw(0, 1))[0]
    assert float((many[:1000] - many[1000:2000]).square().sum(1).mean()) == pytest.approx(3.0**2 + 2 * 20, rel=0.03)


def test_training_stops_at_the_loss_and_leaves_the_model():
    x, y = blobs(60, 3, 5, 3.0, draw(0, 0))
    model = mlp(5, [8], 3, generator=draw(1, 0))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    found = train(model, x, y, steps=500, until=0.3)
    assert 0 < found.steps < 500
    assert found.loss <= 0.3 < train(model, x, y, steps=found.steps - 1).loss
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    torch.testing.assert_close(found.initial(x), model.double()(x))
    assert all(p.grad is None for p in found.model.parameters())


@pytest.mark.slow
def test_large_networks_are_seen_by_quadrature_as_small_ones_exactly(monkeypatch):
    x, y = images("digits", 60, 3)
    trained = train(mlp(64, [4], 3, generator=draw(1, 0)), x, y, steps=100)
    op = HessianOperator(trained.model, LOSS, (x, y))
    exact = spectrum_of(op)
    monkeypatch.setattr(setting, "EXACT", 10)
    rough = spectrum_of(op)
    torch.testing.assert_close(rough.top[:10], exact.top[:10], rtol=1e-3, atol=0)
    assert rough.lowest == pytest.approx(exact.lowest, rel=1e-2)
    assert rough.near_zero == pytest.approx(exact.near_zero, abs=0.06)
    assert rough.negative == pytest.approx(exact.negative, abs=0.06)
    assert rough.middle is None


def test_metrics_of_a_made_up_spectrum():
    values = torch.cat([
        torch.tensor([8.0, 4.0, 4.0]),
        0.5 * 0.9 ** torch.arange(200.0),
        torch.tensor([-0.04]),
    ]).double()
    found = outlier_metrics(Spectrum(values, -0.04, 0.7, 0.01, 0.1), 4)
    assert found["log_ratio"] == pytest.approx(math.log(8))
    assert found["neighbour_log_ratio"] == pytest.approx(-math.log(0.9))
    assert found["contrast"] == pytest.approx(math.log(8) + math.log(0.9))
    assert found["negative_ratio"] == pytest.approx(0.005)
    assert found["log_outliers"] == pytest.approx(math.log(128) / 3)
    assert found["gap_index"] == count_outliers(values).gap_index == 3


def test_gradient_share_equals_the_projection_by_the_dense_solver():
    x, y = blobs(40, 3, 5, 1.0, draw(0, 0))
    model = mlp(5, [6], 3, generator=draw(1, 0)).double()
    op = HessianOperator(model, LOSS, (x, y))
    vectors = torch.linalg.eigh(op.to_dense()).eigenvectors[:, -3:]
    gradient = torch.cat([g.flatten() for g in torch.autograd.grad(LOSS(model(x), y), list(model.parameters()))])
    expected = float((vectors.T @ gradient).square().sum() / gradient.square().sum())
    assert gradient_in_top(op, model, x, y, 3) == pytest.approx(expected, rel=1e-6)


def test_images_of_some_classes():
    x, y = images("digits", 50, 5)
    assert x.shape == (50, 1, 8, 8)
    assert set(y.tolist()) == set(range(5))
    assert 0 <= float(x.min()) < float(x.max()) <= 1


def test_a_trial_is_repeatable_seeds_differ_and_sabotage_hides_the_outliers():
    arguments = {"data": "digits", "n": 60, "width": 3, "classes": 3, "labels": "true", "steps": 60}
    one, two = (experiments.spectrum(**arguments, seed=0) for _ in range(2))
    assert one == two
    assert one != experiments.spectrum(**arguments, seed=1)
    assert experiments.spectrum(**arguments, seed=0, sabotage=True)["lambda_1"] < one["lambda_1"]
    assert experiments.spectrum(**{**arguments, "labels": "random"}, seed=0)["loss"] > one["loss"]


def test_the_parts_add_up_unless_the_loss_is_another():
    arguments = {"data": "digits", "n": 12, "width": 3, "steps": 30, "seed": 0}
    found = experiments.decomposition(**arguments)
    assert found["split_error"] < 1e-12
    assert found["rank_excess"] == 0
    assert found["rank"] <= 12 * 9
    assert experiments.decomposition(**arguments, sabotage=True)["split_error"] > 1e-2


def test_products_show_the_identity_of_large_networks(monkeypatch):
    monkeypatch.setattr(experiments, "EXACT", 10)
    arguments = {"data": "digits", "n": 12, "width": 3, "steps": 30, "seed": 0}
    assert experiments.decomposition(**arguments)["split_error"] < 1e-12
    assert experiments.decomposition(**arguments, sabotage=True)["split_error"] > 1e-2


def test_networks_that_miss_the_loss_have_no_outliers_to_compare(monkeypatch):
    monkeypatch.setattr(experiments, "CAP", 1)
    arguments = {"n": 40, "dimension": 20, "width": 4, "clusters": 5, "separation": 1.5, "seed": 0}
    found = experiments.width(**arguments)
    assert found["log_outliers"] is None
    assert found["log_bulk"] is None
    monkeypatch.undo()
    assert experiments.width(**{**arguments, "separation": 3.0})["log_outliers"] is not None


def test_the_line_between_solutions_and_its_controls():
    run = Run(large=60, large_steps=30, small=10, small_steps=60, rate=0.1)
    rows = walk("digits", 120, "mlp-8", run, [0, 1], Progress())
    assert [r["path_continued"][0] for r in rows] == [r["loss_large"] for r in rows]
    assert all(r["path_other"][0] == pytest.approx(r["path_same"][0]) for r in rows)  # all start at the same point
    assert all(0 < r["distance_continued"] < r["distance_other"] for r in rows)
    assert all(r["loss_small"] < r["loss_large"] for r in rows)
    assert all(r["accuracy_gain"] == pytest.approx(r["accuracy_small"] - r["accuracy_large"]) for r in rows)
    alone = walk("digits", 120, "mlp-8", run, [1], Progress())
    assert alone[0]["distance_other"] == pytest.approx(rows[1]["distance_other"], rel=1e-4)  # seeds do not mix
    broken = walk("digits", 120, "mlp-8", run, [0], Progress(), sabotage=True)
    assert broken[0]["barrier_continued"] == pytest.approx(broken[0]["barrier_other"])


def test_convolutional_networks_walk_too():
    x = torch.zeros(2, 1, 8, 8)
    assert network("cnn-2", x, draw(0, 0))(x).shape == (2, 10)
    run = Run(large=20, large_steps=2, small=10, small_steps=2, rate=0.1)
    assert "gradient_share" not in walk("digits", 40, "cnn-2", run, [0], Progress())[0]


def test_distance_and_path_of_known_networks():
    one, other = (mlp(2, [2], 2, generator=draw(s)) for s in (0, 1))
    x, y = torch.zeros(3, 2), torch.zeros(3).long()
    path, height, distance = between(one, other, x, y)
    expected = sum(
        float((a - b).detach().square().sum()) for a, b in zip(one.parameters(), other.parameters(), strict=True)
    )
    assert distance == pytest.approx(math.sqrt(expected))
    assert len(path) == 21
    assert height >= 0


def test_images_in_colour_vanish_from_the_plan_where_they_are_not_at_hand(monkeypatch):
    from overparam import data

    monkeypatch.setattr(data, "available", lambda name: False)
    assert list(experiments.basins_images.experiment.grids["laptop"].points()) == []


def test_figures_draw_with_what_a_small_run_has():
    from overparam.lab.plots import style, to_svg

    curve = (np.geomspace(1, 1e-3, 30)).tolist()
    common = {"top": curve, "lambda_1": 1.0, "log_outliers": -1.0, "near_zero_share": 0.8, "loss": 0.02}
    tables = {
        experiments.leading_eigenvalues: [
            {**common, "labels": "true", "classes": 10, "width": w, "seed": s, "parameters": 10 * w, "initial_top": curve, "log_ratio": 0.7}
            for w in (8, 16) for s in range(2)
        ],
        experiments.eigenvalues_by_width: [
            {**common, "width": w, "seed": s, "parameters": 26 * w} for w in (6, 12, 24) for s in range(2)
        ],
        experiments.outliers_by_clusters: [
            {**common, "clusters": k, "separation": d, "seed": s, "above_edge": k, "counted": 1, "log_bulk": -6.0}
            for k in (2, 5) for d in (1.0, 3.0) for s in range(2)
        ],
        experiments.line_between: [
            {f"{m}_{a}": v for a in ("continued", "same", "other") for m, v in (("path", curve[:21]), ("barrier", 0.1), ("distance", 2.0))}
            for _ in range(2)
        ],
    }  # fmt: skip
    with style():
        for draw_it, table in tables.items():
            drawing = draw_it(Trials(table))
            assert to_svg(drawing, prefix="f").startswith("<svg")
            assert drawing.caption.endswith(".")
