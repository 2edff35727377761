import numpy as np
import pandas as pd
import pytest

from overparam.errors import BadInput
from overparam.methods.scaling.basins import (
    basin,
    convexity_report,
    evaluate_law,
    leave_one_group_out,
    loss_gap,
    plateau,
)
from overparam.methods.scaling.laws import STEP, HyperParameters

LR, BS = 2.0 ** (np.arange(-22, -10) / 2), 2.0 ** np.arange(4, 13)


def bowl(n=1e9, d=2e10, curvature=(0.02, 0.01), noise=0.0, sign=1.0):
    """A quadratic basin in (ln lr, ln batch) around 2^-8 and 2^8 sequences."""
    rng = np.random.default_rng(0)
    rows = []
    for lr in LR:
        for bs in BS:
            x, y = np.log(lr) - np.log(2.0**-8), np.log(bs) - np.log(2.0**8)
            rows.append((
                n,
                d,
                lr,
                bs,
                2.5 * (1 + sign * (curvature[0] * x * x + curvature[1] * y * y) / 2 + noise * rng.normal()),
            ))
    return pd.DataFrame(rows, columns=["N", "D", "lr", "bs", "loss"])


def test_the_gap_is_zero_at_the_best_run_and_never_negative():
    grid = bowl(noise=0.001)
    best = grid.loc[grid["loss"].idxmin()]
    for how in ("nearest", "interpolate"):
        assert loss_gap(grid, best.lr, best.bs * 2048, how=how) == pytest.approx(0, abs=1e-12)
    rng = np.random.default_rng(1)
    gaps = [
        loss_gap(grid, lr, b)
        for lr, b in zip(np.exp(rng.uniform(-8, -3, 50)), np.exp(rng.uniform(10, 16, 50)), strict=True)
    ]
    assert min(gaps) >= 0


def test_nearest_is_nearest_in_logs():
    grid = bowl()
    assert loss_gap(grid, 2.0**-8 * 1.1, 2.0**19 * 1.1) == pytest.approx(0, abs=1e-12)


def test_interpolation_never_extrapolates():
    assert np.isnan(loss_gap(bowl(), 1.0, 2.0**19, how="interpolate"))
    with pytest.raises(BadInput, match="give 'nearest' or 'interpolate'"):
        loss_gap(bowl(), 1e-3, 2.0**19, how="cubic")


def test_a_quadratic_is_recovered():
    found = basin(bowl(), within=0.03)
    assert found.lr == pytest.approx(2.0**-8, rel=1e-6)
    assert found.batch_tokens == pytest.approx(2.0**19, rel=1e-6)
    np.testing.assert_allclose(found.hessian, [[0.02, 0], [0, 0.01]], atol=1e-9)
    assert found.r2 == pytest.approx(1)
    assert found.is_convex
    with pytest.raises(BadInput, match="a quadratic needs 6: widen it"):
        basin(bowl(), within=1e-9)


def test_diverged_runs_do_not_enter():
    grid = bowl()
    grid.loc[0, "loss"] = 11.0
    np.testing.assert_allclose(basin(grid, within=0.03).hessian, [[0.02, 0], [0, 0.01]], atol=1e-9)


def test_convexity_is_seen_in_a_bowl_and_lost_when_shuffled():
    assert convexity_report(bowl(), within=0.2)[0.0] == 1.0
    shuffled = bowl().assign(loss=np.random.default_rng(0).permutation(bowl()["loss"]))
    assert convexity_report(shuffled, within=0.2)[0.0] < 0.75
    saddle = bowl(curvature=(0.02, -0.01))
    assert convexity_report(saddle, within=1.0)[0.0] < 0.75
    assert not basin(saddle, within=1.0).is_convex


def test_rates_printed_in_two_roundings_are_one_line():
    grid = bowl()
    other = grid.assign(lr=np.where(np.arange(len(grid)) % 2, grid["lr"] * 1.0008, grid["lr"]))
    assert convexity_report(other, within=0.2) == convexity_report(grid, within=0.2)


def test_the_plateau_of_a_bowl_is_an_ellipse():
    found = plateau(bowl(), within=0.0025)
    x, y = np.meshgrid(np.log(LR * 2.0**8), np.log(BS / 2.0**8), indexing="ij")
    inside = 0.01 * x**2 + 0.005 * y**2 <= 0.0025
    assert found.share == pytest.approx(inside.mean())
    assert (found.mask == inside.ravel()).all()


def test_laws_are_evaluated_on_every_size_and_left_out_whole():
    sizes = [(n, d) for n in (2e8, 5e8, 1e9) for d in (4e9, 2e10)]
    table = pd.concat([bowl(n, d) for n, d in sizes])
    found = evaluate_law(STEP.predict, table)
    assert list(zip(found["N"], found["D"], strict=True)) == sorted(sizes)
    assert (found["nearest"] >= 0).all()
    best = lambda n, d: HyperParameters(2.0**-8, 2.0**19)  # noqa: E731
    assert evaluate_law(best, table)["nearest"].max() == pytest.approx(0, abs=1e-12)
    left = leave_one_group_out(table)
    assert len(left) == 6
    assert left["nearest"].max() < 1e-3  # all basins agree, so the other five find the sixth
