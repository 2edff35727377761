import numpy as np
import pytest

from overparam.errors import BadInput
from overparam.methods.theory.early_stopping import estimate_signal, validated_stopping
from overparam.methods.theory.gradient_flow import gradient_flow


def data(p, n, snr, seed=0):
    rng = np.random.default_rng(seed)
    h = rng.normal(0.0, n**-0.5, (p, n))
    return h, h @ rng.normal(size=n) + rng.normal(0.0, snr**-0.5, p)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    found = [estimate_signal(*data(50, 40, 3.0, seed)) for seed in range(100)]
    assert 88 <= sum(e.low < 3.0 < e.high for e in found) <= 99
    assert all(e.low <= e.snr <= e.high for e in found)


def test_it_is_the_maximum_of_the_density_of_the_targets():
    h, y = data(12, 5, 2.0)
    found = estimate_signal(h, y, centre=False)

    def deviance(weight, noise):
        cov = weight * h @ h.T + noise * np.eye(12)
        return np.linalg.slogdet(cov)[1] + y @ np.linalg.solve(cov, y)

    least = deviance(found.weight_var, found.noise_var)
    for a, b in ((1.02, 1), (0.98, 1), (1, 1.02), (1, 0.98)):
        assert deviance(a * found.weight_var, b * found.noise_var) > least
    assert found.ridge == pytest.approx(found.noise_var / found.weight_var)
    assert found.snr == pytest.approx(found.weight_var * (h**2).sum() / 12 / found.noise_var)


def test_units_and_shifts_do_not_matter():
    h, y = data(40, 20, 4.0)
    base, moved = estimate_signal(h, y), estimate_signal(3 * h + 5, 7 * y - 2)
    assert moved[:3] == pytest.approx(base[:3], rel=1e-4)
    assert moved.noise_var == pytest.approx(49 * base.noise_var, rel=1e-4)


def test_pure_noise_is_compatible_with_no_signal():
    rng = np.random.default_rng(1)
    assert estimate_signal(rng.normal(size=(80, 20)), rng.normal(size=80)).low < 0.01


@pytest.mark.parametrize("centre", [False, True])
def test_folds_are_those_of_a_plain_loop(centre):
    h, y = data(20, 30, 2.0)
    y = y + 3.0
    found = validated_stopping(h, y, folds=4, centre=centre, times=[0.5, 2.0], seed=3)
    slow = np.zeros(3)
    for held in np.array_split(np.random.default_rng(3).permutation(20), 4):
        kept = np.setdiff1d(np.arange(20), held)
        m, c = (h[kept].mean(0), y[kept].mean()) if centre else (0.0, 0.0)
        w = gradient_flow(h[kept] - m, y[kept] - c, 0, np.array([0.5, 2.0, np.inf]) * 20 / 15)
        slow += (((h[held] - m) @ w.T + c - y[held][:, None]) ** 2).sum(0) / 20
    np.testing.assert_allclose(found.errors, slow, rtol=1e-9)
    assert found.final == found.errors[-1]
    assert found.error == found.errors.min()


def test_noise_calls_for_stopping_and_its_absence_for_going_on():
    noisy = validated_stopping(*data(60, 60, 0.5))
    clean = validated_stopping(*data(60, 20, 1e6))
    assert noisy.time < 5
    assert noisy.error < 0.5 * noisy.final
    assert clean.time > 5 * noisy.time
    assert clean.error > 0.8 * clean.final
    assert noisy.error < noisy.start * 1.05


def test_columns_are_averaged():
    h, y = data(30, 10, 2.0)
    one, two = validated_stopping(h, y), validated_stopping(h, np.stack([y, y], 1))
    np.testing.assert_allclose(two.errors, one.errors, rtol=1e-12)


def test_arguments_are_checked():
    h, y = data(10, 4, 1.0)
    for call, says in (
        (lambda: estimate_signal(h, y[:5]), r"targets has shape \(5,\)"),
        (lambda: estimate_signal(h, np.stack([y, y], 1)), "targets have 2 columns"),
        (lambda: estimate_signal(h, np.full(10, 0.1)), "targets are constant"),
        (lambda: estimate_signal(h, np.zeros(10), centre=False), "targets are all zero"),
        (lambda: estimate_signal(np.ones((10, 2)), y), "features are constant"),
        (lambda: validated_stopping(h, y, folds=1), "folds=1 for 10 samples"),
        (lambda: validated_stopping(h, y, times=[-1.0]), "pass a vector of times"),
    ):
        with pytest.raises(BadInput, match=says):
            call()
