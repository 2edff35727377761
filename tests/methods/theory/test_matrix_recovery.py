import math

import numpy as np
import pytest

from overparam.errors import BadInput, Diverged
from overparam.methods.theory.matrix_recovery import recover
from overparam.methods.theory.symmetric_sensing import Noise, SymmetricSensing, robust_instance

PROBLEM = robust_instance(10, 2, 300, noise=Noise("outlier", p=0.2, scale=100.0), rng=0)


def distance(found, problem=PROBLEM):
    return np.linalg.norm(found.matrix - problem.target) / np.linalg.norm(problem.target)


def test_matrix_rank_and_outliers_are_found():
    found = recover(PROBLEM)
    assert distance(found) < 1e-3
    assert found.rank == 2
    assert found.gap > 100
    big = np.abs(PROBLEM.errors) > 0.1
    np.testing.assert_array_equal(found.outliers[big], True)
    assert found.outliers[PROBLEM.errors == 0].mean() < 0.02
    assert found.outlier_share == found.outliers.mean()
    np.testing.assert_allclose(found.residuals, PROBLEM.y - PROBLEM.forward(found.matrix[None])[0])
    np.testing.assert_allclose(found.eigenvalues, np.linalg.eigvalsh(found.matrix)[::-1], atol=1e-12)


def test_units_of_measurements_and_of_matrices_do_not_matter():
    rng = np.random.default_rng(1)
    a = rng.normal(size=(200, 6, 6))
    truth = np.outer(np.arange(6.0), np.arange(6.0)) / 55
    y = np.einsum("mij,ij->m", a, truth)
    y[::10] = 40.0
    one, two = recover(SymmetricSensing(a, y)), recover(SymmetricSensing(1e-3 * a, 5.0 * y))
    np.testing.assert_allclose(two.matrix, 5e3 * one.matrix, rtol=1e-6, atol=1e-3)
    assert two.held_out_scale == pytest.approx(5e3 * one.held_out_scale, rel=1e-3)
    assert two.unexplained == pytest.approx(one.unexplained, rel=1e-3)
    assert (one.outliers == two.outliers).all()


def test_held_out_measurements_tell_the_error_where_fitted_ones_do_not():
    scarce = robust_instance(20, 3, 130, noise=Noise("none"), rng=2)
    found = recover(scarce, hold_out=0.2)
    assert found.fitted_scale < 0.1 * found.held_out_scale
    error = distance(found, scarce) * np.linalg.norm(scarce.target)
    assert error / 2 < found.held_out_scale < 2 * error
    assert found.unexplained == pytest.approx(found.held_out_scale / found.norm)


def test_noise_on_every_measurement_is_part_of_the_scale():
    problem = robust_instance(10, 2, 2_000, noise=Noise("gaussian", scale=0.5), rng=0)
    found = recover(problem)
    assert found.held_out_scale == pytest.approx(0.5, rel=0.2)
    assert found.rank == 2
    assert found.outlier_share < 0.01


def test_guesses_and_steps_are_used():
    guessed = recover(PROBLEM, rank_guess=5, condition_guess=3, steps=20, hold_out=0)
    assert guessed.rho > recover(PROBLEM, steps=20).rho
    assert guessed.steps == 20
    assert math.isnan(guessed.held_out_scale)
    assert guessed.unexplained == pytest.approx(guessed.fitted_scale / guessed.norm)
    fixed = recover(PROBLEM, rho=0.99, steps=300, width=3)
    assert fixed.rho == 0.99
    assert fixed.step_floor == pytest.approx(2 * 0.2 * 0.99**299 * fixed.eigenvalues[0])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"alpha": 0.0}, "alpha=0.0"),
        ({"alpha": 1.0}, "alpha=1.0"),
        ({"hold_out": 0.6}, "hold_out=0.6"),
        ({"rho": 0.0}, "rho=0.0"),
        ({"rho": 1.5}, "rho=1.5"),
        ({"rho": 1.0}, "never ends"),
        ({"width": 11}, "width=11"),
        ({"eta0": 0.0, "rho": 0.9}, "eta0=0.0"),
        ({"condition_guess": 3.0}, "without rank_guess"),
        ({"steps": 0}, "steps=0"),
        ({"rank_guess": 0.2}, "r_guess=0.2"),
    ],
)
def test_arguments_are_checked(given, says):
    with pytest.raises(BadInput, match=says):
        recover(PROBLEM, **given)


def test_measurements_are_checked():
    with pytest.raises(BadInput, match="30 measurements with 20 held out"):
        recover(PROBLEM.part(slice(0, 30)))
    with pytest.raises(BadInput, match="a quarter of y"):
        recover(SymmetricSensing(np.ones((50, 2, 2)), np.zeros(50)))
    with pytest.raises(Diverged, match="by step"):
        recover(PROBLEM, eta0=80.0, rho=1.0, steps=500)
