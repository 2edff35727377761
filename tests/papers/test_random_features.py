import numpy as np
import pytest

from overparam.lab import Trials
from overparam.lab.experiment import Progress
from overparam.methods.theory.kernels import arccos_nngp
from overparam.methods.theory.random_features import rf_risk
from overparam.papers.random_features import experiments, setting
from overparam.papers.random_features.claims import CLAIMS
from overparam.papers.random_features.judging import settings

CLAIM = {claim.id: claim for claim in CLAIMS}
WIGGLE = (0.004, -0.004, 0.002, 0.0, -0.002)


def states(claim, rows):
    return [part.state for part in CLAIM[claim].rule.judge(Trials(rows))]


def seeds(value, metric, **where):
    return [{**where, "seed": s, metric: value + w} for s, w in enumerate(WIGGLE)]


def cells(factor, train=0.3):
    return [
        {
            "n": n, "k": k, "seed": s, "ridge": [0.1, 1.0], "test": [factor + w, factor + w], "train": [train, train],
            "theory_test": [1.0, 1.0], "theory_train": [0.3, 0.3],
        }
        for n in (64, 256) for k in (32, 0) for s, w in enumerate(WIGGLE)
    ]  # fmt: skip


def test_every_claim_is_bound_and_only_the_exponents_were_reported():
    assert all(hasattr(getattr(experiments, c.on), "experiment") for c in CLAIMS)
    assert [c.id for c in CLAIMS if c.reported] == ["C4"]
    assert [c.id for c in CLAIMS if "laptop" not in getattr(experiments, c.on).experiment.grids] == ["C4e"]


def test_theory_agrees_or_not_setting_by_setting():
    assert states("C1", cells(1.01)) == ["holds"] * 3
    assert states("C1", cells(1.2)) == ["fails", "holds", "fails"]
    assert states("C1", cells(1.0, train=0.4)) == ["holds", "fails", "holds"]
    assert states("C1", []) == ["unclear"] * 3
    found = settings(Trials(cells(1.01)))
    assert len(found) == 8
    assert found[0]["error"] == pytest.approx(np.std(WIGGLE, ddof=1) / np.sqrt(5))


def test_no_increase_is_allowed_in_the_theorem():
    row = {"seed": 0, "rise_with_features": 0.0, "rise_with_samples": 0.0, "finite_gain": 0.0, "valley": 0.0}
    assert states("C2", [row]) == ["holds"] * 4
    assert states("C2", [dict.fromkeys(row, 0.001)]) == ["fails"] * 4


def test_the_peak_must_stand_on_both_sides():
    def rows(middle):
        levels = {64: 1.0, 256: middle, 2048: 0.9}
        return [r for k, v in levels.items() for r in seeds(v * (1 + 0.01 * k / 2048), "untuned", n=256, k=k)]

    assert states("C2d", rows(5.0)) == ["holds"] * 2
    assert states("C2d", rows(0.5)) == ["fails"] * 2


def test_a_tuned_ridge_must_not_lose_with_more():
    def rows(step):
        order = [(64, 0), (256, 64), (64, 256), (256, 256), (256, 2048), (256, 0), (1024, 256), (1024, 0)]
        level = lambda n, k: step * (np.log2(n) + np.log2(k or 4096))  # noqa: E731
        return [
            {**r, "best": r["best"] * (1 + 0.01 * r["seed"])}
            for n, k in order
            for r in seeds(1 + level(n, k), "best", n=n, k=k)
        ]

    assert states("C2e", rows(-0.02)) == ["holds"] * 7
    assert states("C2e", rows(0.2)) == ["fails"] * 7


def test_the_closed_form_needs_the_rate_and_the_value():
    def rows(power, scale):
        return [
            {"seed": 0, "noise": s, "n": n, "gap": scale * n**power, "log_gap": np.log(scale * n**power) + 0.01 * s, "log_n": np.log(n)}
            for s in (1.0, 5.0, 50.0)
            for n in (100, 1000)
        ]  # fmt: skip

    assert states("C3", rows(-1.0, 0.5)) == ["holds"] * 2
    assert states("C3", rows(-0.1, 0.5)) == ["fails"] * 2
    assert states("C3z", [{"mismatch": 1, "seed": 0}]) == states("C3q", [{"shortfall": 0.1, "seed": 0}]) == ["fails"]


def test_measured_ratios_must_meet_predicted_ones_on_both_sets():
    def rows(off):
        keys = {f"gap_{s}": off for s in (0, 1, 5, 50)}
        return [
            {"data": data, "seed": s, **{k: v + w for k, v in keys.items()}}
            for data in ("digits", "cifar10")
            for s, w in enumerate(WIGGLE)
        ]

    assert states("C4n", rows(0.03)) == ["holds"] * 8
    assert states("C4n", rows(-0.3)) == ["fails"] * 8


def test_gaussian_regressions_follow_the_theory_and_the_sabotage_does_not():
    point = {"alpha": 1.5, "beta": 1.5, "noise": 0.5, "modes": 300, "n": 64, "k": 32}
    rows, broken = (experiments.gaussian(**point, seeds=range(20), sabotage=s) for s in (False, True))
    mean = lambda table: np.mean([r["test"] for r in table], axis=0)  # noqa: E731
    theory = np.array(rows[0]["theory_test"])
    np.testing.assert_allclose(mean(rows), theory, rtol=0.08)
    assert abs(mean(broken) / theory - 1).max() > 0.2


def test_gaussian_errors_are_those_of_dense_algebra():
    task = setting.PowerLaw.of(1.5, 1.5, 40)
    path = setting.gaussian_path(task, 12, 7, np.array([0.1]), 0.3, 5)
    rng = np.random.default_rng([setting.SAMPLES, 5])
    phi = rng.standard_normal((12, 40))
    y = phi @ task.coeffs + np.sqrt(0.3) * rng.standard_normal(12)
    weights = np.random.default_rng([setting.WEIGHTS, 5]).standard_normal((7, 40))
    spread = np.diag(np.sqrt(task.eigvals)) @ weights.T @ weights @ np.diag(np.sqrt(task.eigvals)) / 7
    alpha = np.linalg.solve(phi @ spread @ phi.T + 0.1 * np.eye(12), y)
    assert path.test[0] == pytest.approx(((task.coeffs - spread @ phi.T @ alpha) ** 2).sum() + 0.3)
    assert path.train[0] == pytest.approx((0.1 * alpha) @ (0.1 * alpha) / 12)


def test_tuned_and_fitting_rows():
    row = experiments.tuned(alpha=1.5, beta=1.5, noise=0.1, modes=200)
    assert row == {"rise_with_features": 0.0, "rise_with_samples": 0.0, "finite_gain": 0.0, "valley": 0.0}
    row = experiments.fitting(alpha=2.0, beta=2.5, noise=5.0, n=100)
    assert row["gap"] == pytest.approx(0.2533 - 0.2516, abs=1e-4)
    assert (row["mismatch"], row["shortfall"]) == (0, 0.0)


def test_labels_and_images_are_scaled():
    x, labels, classes = setting.read_images("digits", 50)
    np.testing.assert_allclose((x**2).sum((1, 2, 3)), 2 * 64)
    points = x.reshape(50, -1)
    np.testing.assert_allclose(np.diag(arccos_nngp(points, points)), 1)
    rows = setting.one_hot(labels, classes)
    np.testing.assert_allclose((rows**2).sum(1), 1)
    np.testing.assert_allclose(rows.sum(1), 0, atol=1e-12)
    assert setting.two_classes(np.arange(10)).tolist() == [1, 1, -1, -1, -1, -1, -1, 1, 1, 1]
    assert len(setting.read_images("digits", 10**6)[0]) == 1797
    assert setting.tangent_kernel(x[:4], "fc1").shape == (4, 4)


@pytest.mark.slow
def test_the_convolutional_kernel_of_the_paper_reads_images_of_32_pixels():
    x, _, _ = setting.read_images("digits", 2)
    K = setting.tangent_kernel(x, "myrtle5")
    np.testing.assert_allclose(K, K.T)
    assert np.linalg.eigvalsh(K)[0] > 0


@pytest.mark.slow
def test_images_follow_the_theory_on_their_own_spectrum(tmp_path, monkeypatch):
    monkeypatch.setenv("OVERPARAM_CACHE", str(tmp_path))
    point = {"data": "digits", "pool": 600, "tests": 150, "n": 64}
    for k in (256, 0):
        rows = experiments.images(**point, k=k, seeds=range(6), progress=Progress())
        measured = np.mean([r["test"] for r in rows], axis=0)
        np.testing.assert_allclose(measured, rows[0]["theory_test"], rtol=0.25)
        assert rows[0]["best"] <= rows[0]["untuned"]
    held = setting.pool_of("digits", 600)
    assert rf_risk(held["eigvals"], held["coeffs2"], 64, np.inf, 1.0).train == pytest.approx(
        np.mean([r["train"][6] for r in rows]), rel=0.15
    )


@pytest.mark.slow
def test_noise_moves_the_best_ratio_up_and_figures_draw(tmp_path, monkeypatch):
    from overparam.lab.plots import style, to_svg

    monkeypatch.setenv("OVERPARAM_CACHE", str(tmp_path))
    point = {"data": "digits", "kernel": "fc2", "pool": 500, "n": 200}
    noisy = [{**point, "seed": s, **experiments.noisy_images(**point, seed=s, progress=Progress())} for s in range(2)]
    ratios = [noisy[0][f"ratio_{s}"] for s in (0, 1, 5, 50)]
    assert ratios == sorted(ratios)
    assert noisy[0]["beta"] > noisy[0]["alpha"] > 1
    images = [
        {**base, "seed": s, **row}
        for k in (64, 256, 0)
        for base in [{"data": "digits", "pool": 300, "tests": 40, "n": 128, "k": k}]
        for s, row in enumerate(experiments.images(**base, seeds=range(2), progress=Progress()))
    ]
    fits = [
        {**p, "seed": 0, **experiments.fitting(**p)} for p in experiments.fitting.experiment.grids["smoke"].points()
    ]
    base = {"alpha": 1.5, "beta": 1.5, "noise": 0.5, "modes": 100, "n": 20, "k": 30}
    gaussian = [{**base, "seed": s, **r} for s, r in enumerate(experiments.gaussian(**base, seeds=range(3)))]
    with style():
        for draw_it, rows, words in (
            (experiments.error_by_width, images, "peaks at"),
            (experiments.theory_and_measurement, gaussian, "Over 4 settings"),
            (experiments.cost_of_fitting, fits, "0.24 at noise 5"),
            (experiments.ratio_by_noise, noisy, "digits: 0.00 (0.00)"),
        ):
            drawing = draw_it(Trials(rows))
            assert to_svg(drawing, prefix="f").startswith("<svg")
            assert words in drawing.caption
            assert drawing.caption.endswith(".")
