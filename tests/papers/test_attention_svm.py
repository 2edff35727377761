import numpy as np
import pytest

from overparam.lab import Trials
from overparam.papers.attention_svm import experiments, worlds
from overparam.papers.attention_svm.claims import CLAIMS

CLAIM = {claim.id: claim for claim in CLAIMS}
WIGGLE = (0.01, -0.01, 0.005, 0.0, -0.005)


def states(claim, rows):
    return [part.state for part in CLAIM[claim].rule.judge(Trials(rows))]


def table(where, **metrics):
    return [{**where, "seed": s, **{k: v + w for k, v in metrics.items()}} for s, w in enumerate(WIGGLE)]


def test_every_claim_names_an_experiment():
    assert all(hasattr(getattr(experiments, c.on), "experiment") for c in CLAIMS)
    assert [c.id for c in CLAIMS if c.reported] == ["C1", "C2", "C7"]  # figures of the official notebooks


def test_each_parametrisation_must_be_nearer_to_its_own_machine():
    def rows(fro_of_w, fro_of_kq):
        return table(
            {"trains": "W", "optimiser": "normalised"}, fro=fro_of_w, fro_minus_nuc=fro_of_w - 0.86, nuc=0.86
        ) + table(
            {"trains": "KQ", "optimiser": "normalised"}, fro=fro_of_kq, fro_minus_nuc=fro_of_kq - 0.997, nuc=0.997
        )

    assert states("C1", rows(0.995, 0.85)) == ["holds"] * 2
    assert states("C2", rows(0.995, 0.85)) == ["holds"] * 2
    assert states("C1", rows(0.8, 0.85)) == ["fails"] * 2
    assert states("C2", rows(0.995, 1.04)) == ["holds", "fails"]


def test_local_runs_must_follow_the_selected_tokens():
    def rows(more, share):
        return [
            {
                "trains": t,
                "optimiser": "normalised",
                "seed": s,
                "selected_minus_best": more + w,
                "locally_optimal": share,
            }
            for t in ("W", "KQ")
            for s, w in enumerate(WIGGLE)
        ]

    assert states("C4", rows(0.3, 1.0)) == ["holds"] * 4
    assert states("C4", rows(-0.3, 0.5)) == ["fails"] * 4


def test_bounds_hold_in_every_case_or_fail():
    assert states("C5", [{"infeasible_though_wide": v, "seed": 0} for v in (0.0, None, 0.0)]) == ["holds"]
    assert states("C5", [{"infeasible_though_wide": v, "seed": 0} for v in (0.0, 1.0)]) == ["fails"]
    rows = [{"scores": "equal", "seed": s, "uphill": 0.0, "missed": 0.0} for s in range(2)]
    assert states("C5b", rows) == ["holds"] * 2
    rows[1] |= {"uphill": 0.01, "missed": 1.0}
    assert states("C5b", rows) == ["fails"] * 2
    ranks = [{"d": 10, "seed": s, "excess": 0, "difference": 4.0 + w} for s, w in enumerate(WIGGLE)]
    assert states("C7", ranks) == ["holds"] * 2
    assert states("C7", [{**r, "excess": 1, "difference": -r["difference"]} for r in ranks]) == ["fails"] * 2


def test_worlds_are_unit_and_repeat():
    world = worlds.unit_worlds(3, 4, 5, [0, 7])
    again = worlds.unit_worlds(3, 4, 5, [7])
    np.testing.assert_array_equal(world.X[1], again.X[0])
    for part in (world.X, world.z, world.v):
        np.testing.assert_allclose(np.linalg.norm(part, axis=-1), 1)
    assert set(np.unique(world.Y)) <= {-1.0, 1.0}
    np.testing.assert_array_equal(world.best, world.scores.argmax(-1))


def test_equal_worlds_have_one_token_of_worth():
    world = worlds.equal_worlds(3, 4, 5, [0, 1])
    ordered = np.sort(world.scores, -1)
    np.testing.assert_allclose(ordered[..., -1], 0.5)
    np.testing.assert_allclose(ordered[..., :-1], 0, atol=1e-12)


def test_relu_and_digit_worlds_have_their_shapes():
    world, hidden = worlds.relu_worlds(3, 4, 5, [0, 1])
    assert hidden.shape == (2, 5, 5)
    np.testing.assert_allclose(np.linalg.norm(hidden, axis=(1, 2)), 1)
    np.testing.assert_array_equal(world.v, 1)
    digits = worlds.digit_worlds(6, 0.1, [0, 1])
    assert digits.X.shape == (2, 6, 8, 8)
    np.testing.assert_allclose(digits.z, digits.X.mean(2))
    assert not np.array_equal(digits.X[0], digits.X[1])


def test_trained_weights_follow_the_machine_and_the_sabotage_does_not():
    point = {"n": 3, "tokens": 4, "d": 6, "trains": "W", "optimiser": "normalised", "steps": 600}
    rows = experiments.alignment(**point, seeds=range(4))
    assert np.mean([r["fro"] for r in rows]) > 0.97
    for row in rows:
        assert row["fro_minus_nuc"] == pytest.approx(row["fro"] - row["nuc"])
        assert row["fro_curve"][-1] == pytest.approx(row["fro"])
        assert (row["with_best"] is None) == (row["global"] == 1.0)
    broken = experiments.alignment(**point, seeds=range(4), sabotage=True)
    assert np.mean([r["fro"] for r in broken if r["fro"] is not None]) < 0.5


def test_width_knows_where_separation_is_promised():
    narrow, wide = (experiments.width(n=4, tokens=5, d=d, steps=50, seeds=[0, 1]) for d in (2, 8))
    assert {r["infeasible_though_wide"] for r in narrow} == {None}
    assert {r["infeasible_though_wide"] for r in wide} == {0.0}


def test_equal_scores_leave_no_way_uphill():
    rows = experiments.landscape(n=3, tokens=4, d=6, matrices=50, steps=300, scores="equal", seeds=[0, 1])
    assert [(r["uphill"], r["missed"]) for r in rows] == [(0.0, 0.0)] * 2
    assert all(-1 <= r["steepest"] < 0 for r in rows)


def test_the_path_turns_to_the_machine_unless_it_is_beaten():
    rows = experiments.path(n=2, tokens=3, d=3, norm="fro", steps=100, seeds=range(3))
    assert all(len(r["gaps"]) == len(experiments.RADII) for r in rows if r["gaps"])
    assert any(r["gaps"] for r in rows)
    assert all(r["log10_gap"] < -1 and r["slope"] < 0 for r in rows if r["gaps"])
    assert all((r["gaps"] is None) == (r["slope"] is None) for r in rows)


@pytest.mark.slow
def test_several_tokens_are_kept_by_a_nonlinear_head():
    rows = experiments.several(n=3, tokens=4, d=4, steps=1500, seeds=range(40))
    kept = [r for r in rows if r["kept"]]
    assert 0 < len(kept) < 40
    assert np.median([r["both"] for r in kept]) < np.median([r["single"] for r in kept])
    assert all(r["both"] is None for r in rows if not r["kept"])


def test_ranks_are_bounded_and_the_nuclear_one_is_lower():
    rows = experiments.ranks(n=5, tokens=5, d=10, seeds=[0, 1])
    assert all(r["fro"] == 5 and r["nuc"] < 5 and r["excess"] == 0 for r in rows)
    assert all(r["difference"] == r["fro"] - r["nuc"] for r in rows)


def test_figures_draw_with_what_a_small_run_has():
    from overparam.lab.plots import style, to_svg

    curves = [
        {
            "trains": t,
            "optimiser": o,
            "seed": s,
            "at": [50, 100],
            "fro_curve": [0.5, 0.9 + 0.01 * s],
            "nuc_curve": [0.4, 0.8],
        }
        for t in ("W", "KQ")
        for o in ("normalised", "gd")
        for s in range(2)
    ]
    widths = [
        {"n": n, "d": d, "seed": s, "feasible": 1.0, "global": float(d > 4)}
        for n in (4, 10)
        for d in (2, 4, 8)
        for s in range(2)
    ]
    paths = [
        {"norm": k, "seed": s, "gaps": [0.5 / r for r in experiments.RADII] if s else None}
        for k in ("fro", "nuc")
        for s in range(2)
    ]
    ranks = [
        {"n": 5, "d": d, "seed": s, "fro": d, "nuc": d / 2, "difference": d / 2 + 0.01 * s, "undetermined": 0.0}
        for d in (2, 5)
        for s in range(3)
    ]
    with style():
        for draw_it, rows, words in (
            (experiments.correlation_by_step, curves, "W ends at 0.905"),
            (experiments.best_tokens_by_width, widths, "With 10 sequences"),
            (experiments.distance_by_radius, paths, "0.00195 for the Frobenius"),
            (experiments.rank_by_width, ranks, "2.5 less"),
        ):
            drawing = draw_it(Trials(rows))
            assert to_svg(drawing, prefix="f").startswith("<svg")
            assert words in drawing.caption
            assert drawing.caption.endswith(".")
