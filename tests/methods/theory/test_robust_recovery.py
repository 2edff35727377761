import math

import numpy as np
import pytest
import torch

from overparam.errors import BadInput, Diverged
from overparam.methods.theory.robust_recovery import auto_rho, spectral_matrix, spectral_ratio, subgm
from overparam.methods.theory.symmetric_sensing import Noise, SymmetricSensing, robust_instance

D, R, M = 8, 2, 200
PROBLEM = robust_instance(D, R, M, noise=Noise("outlier", p=0.1, scale=10.0), rng=0)


def run(problem=PROBLEM, width=D, **more):
    return subgm(problem, width, **{"init_scale": 0.3, "steps": 1, "rho": 0.9, "init": "random", **more})


def product(path, i=0):
    return path.U[i] @ path.U[i].T


@pytest.mark.parametrize(
    ("loss", "step"), [("absolute", "geometric"), ("absolute", "polyak"), ("squared", "geometric")]
)
def test_a_step_is_that_of_autograd(loss, step):
    rng = np.random.default_rng(3)
    a, y = rng.normal(size=(M, D, D)), rng.normal(size=M)
    u = torch.tensor(0.3 * np.random.default_rng(5).normal(0.0, D**-0.5, (D, D)), requires_grad=True)
    x = u @ u.T
    x.retain_grad()
    off = torch.einsum("mij,ij->m", torch.tensor(a), x) - torch.tensor(y)
    value = off.abs().mean()
    (value if loss == "absolute" else 0.5 * off.square().mean()).backward()
    norm = ((x.grad + x.grad.T) / 2).norm()
    value = value.detach()
    size = 0.2 * math.pi / 2 * value if step == "polyak" else 0.2 / norm
    path = run(SymmetricSensing(a, y), loss=loss, step=step, eta0=0.2, seeds=5)
    np.testing.assert_allclose(path.U[0], (u - size * u.grad / 2).detach(), atol=1e-12)
    assert path.loss[0, 0] == pytest.approx(value.item(), rel=1e-12)
    assert path.last_step[0] == pytest.approx(float(size * (1 if step == "polyak" else norm)))


def test_the_product_does_not_depend_on_a_rotation_of_the_factor():
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(D, D)))[0]
    u = run(steps=1).U[0]
    for turned in (u, u @ rotation):
        x = turned @ turned.T
        q = PROBLEM.pull(np.sign(PROBLEM.forward(x[None]) - PROBLEM.y))[0]
        after = turned - 0.1 * q @ turned
        np.testing.assert_allclose(after @ after.T, x - 0.1 * (q @ x + x @ q) + 0.01 * q @ x @ q, atol=1e-12)


def test_units_do_not_matter():
    one = run(steps=200, init_scale=1e-3)
    nine = run(PROBLEM.rescaled(9.0), steps=200, init_scale=3e-3)
    np.testing.assert_allclose(product(nine), 9 * product(one), rtol=1e-8)
    np.testing.assert_allclose(nine.err, 9 * one.err, rtol=1e-8)


def test_runs_together_are_runs_one_by_one():
    together = run(width=[2, 8, 8], init_scale=[1e-3, 1e-2, 1e-3], rho=[0.9, 0.95, 0.9], seeds=[1, 2, 3], steps=100)
    for i, (w, a, p, s) in enumerate([(2, 1e-3, 0.9, 1), (8, 1e-2, 0.95, 2), (8, 1e-3, 0.9, 3)]):
        alone = run(width=w, init_scale=a, rho=p, seeds=s, steps=100)
        np.testing.assert_allclose(together.U[i, :, :w], alone.U[0], atol=1e-9)
        assert (together.U[i, :, w:] == 0).all()


def test_a_spectral_start_leaves_out_negative_eigenvalues_and_they_stay_out():
    c = spectral_matrix(PROBLEM)
    positive = int((np.linalg.eigvalsh(c) > 0).sum())
    path = run(init="spectral", steps=50)
    assert path.effective_width[0] == positive < D
    first = run(init="spectral", steps=1, eta0=1e-300).U[0]
    values, vectors = np.linalg.eigh(c)
    np.testing.assert_allclose(first @ first.T, 0.09 * (vectors * values.clip(0)) @ vectors.T, atol=1e-12)


def test_the_spectral_matrix_points_to_the_truth():
    problem = robust_instance(D, R, 100_000, noise=Noise("gaussian", scale=1.0), rng=1)
    norm = np.linalg.norm(problem.target)
    expected = problem.noise.phi(norm) * problem.target / norm
    np.testing.assert_allclose(spectral_matrix(problem), expected, atol=0.015)
    assert spectral_ratio(problem) == pytest.approx(math.sqrt(R), rel=0.05)


def test_nothing_above_the_noise_gives_a_default_ratio():
    rng = np.random.default_rng(0)
    y = rng.choice([-1.0, 1.0], 400)
    a = rng.normal(size=(400, 3, 3))
    a[::2], y[::2], a[1::2], y[1::2] = a[1::2].copy(), 1.0, a[1::2].copy(), -1.0  # pairs cancel
    assert spectral_ratio(SymmetricSensing(a, y)) == 3.0


def test_signal_and_residual_are_the_two_parts_of_the_factor():
    path = run(steps=30, records=31)
    np.testing.assert_array_equal(path.steps, np.arange(31))
    assert path.signal_norm[0, -1] ** 2 + path.residual_norm[0, -1] ** 2 == pytest.approx((path.U[0] ** 2).sum())
    inside = np.linalg.eigh(PROBLEM.target)[1][:, -R:]
    assert path.signal_norm[0, -1] == pytest.approx(np.linalg.norm(inside.T @ path.U[0]))


def test_steps_without_a_truth_have_no_error():
    problem = robust_instance(D, R, M, rng=0)
    problem.target = None
    path = run(problem)
    assert np.isnan(path.err).all()
    assert np.isnan(path.signal_norm).all()
    assert np.isfinite(path.loss).all()


def test_a_small_start_recovers_at_any_width_and_squares_do_not():
    path = subgm(PROBLEM, [R, D, D], init_scale=[1e-8, 1e-8, 1e-2], steps=3000, rho=0.996)
    assert path.err[:2, -1].max() < 1e-4 < path.err[2, -1]
    squared = subgm(PROBLEM, D, init_scale=1e-8, steps=3000, rho=0.996, loss="squared")
    assert squared.err[0, -1] > 0.3


def test_steps_that_vanish_too_early_leave_the_start():
    path = subgm(PROBLEM, D, init_scale=1e-8, steps=1000, rho=0.97)
    assert path.err[0, -1] > 0.9 * path.err[0, 0]


def test_exact_measurements_are_recovered_by_polyak_steps():
    problem = robust_instance(D, R, M, noise=Noise("none"), rng=2)
    path = subgm(problem, R, init_scale=1e-4, steps=400, step="polyak")
    assert path.err[0, -1] < 1e-10


def test_a_function_gives_the_size_of_normalised_steps():
    ours = run(steps=20, step=lambda t: 0.2 * 0.9**t)
    np.testing.assert_allclose(ours.U, run(steps=20).U, atol=1e-13)


def test_a_zero_subgradient_ends_the_descent():
    given = {"init_scale": 0.5, "steps": 50, "rho": 1.0}
    exact = SymmetricSensing(np.eye(2)[None], [0.5])  # the spectral start is half of the identity, which measures 0.5
    path = subgm(exact, 2, **given)
    assert path.converged[0]
    assert path.steps.tolist() == [0]
    assert path.loss[0, 0] == 0
    assert not subgm(exact.rescaled(1.2), 2, **given).converged[0]
    both = subgm(exact, 2, **given | {"init_scale": [0.5, 0.4]})
    assert both.converged.tolist() == [True, False]
    np.testing.assert_array_equal(both.U[0], path.U[0])


def test_auto_rho_keeps_the_budget():
    rho = auto_rho(1e-6, kappa_guess=2.0, r_guess=4.0, eta0=0.1)
    assert 0.1 / (1 - rho) == pytest.approx(3 * 2 * 2 * math.log(1e6))
    assert auto_rho(0.99) == 0.5
    path = subgm(PROBLEM, D, init_scale=[1e-4, 1e-8], steps=10)
    decay = [auto_rho(a, kappa_guess=spectral_ratio(PROBLEM), r_guess=1) for a in (1e-4, 1e-8)]
    np.testing.assert_allclose(path.last_step, 0.2 * np.array(decay) ** 9)


def test_divergence_names_the_step():
    with pytest.raises(Diverged, match=r"by step \d+; eta0=80.0 is too large, try 20"):
        run(eta0=80.0, steps=500, rho=1.0)
    with pytest.raises(Diverged, match="by step"):
        run(eta0=50.0, steps=500, step="polyak")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"width": 0}, "width=0"),
        ({"width": D + 1}, "from 1 to d=8"),
        ({"width": 2.5}, "width=2.5"),
        ({"init_scale": 0.0}, "init_scale=0.0"),
        ({"init_scale": 1e-150}, "init_scale=1e-150"),
        ({"init_scale": float("nan")}, "init_scale=nan"),
        ({"rho": 0.0}, "rho=0.0"),
        ({"rho": 1.1}, "rho=1.1"),
        ({"rho": "slow"}, "rho='slow'"),
        ({"rho": "auto", "init_scale": 2.0}, "alphas below 1"),
        ({"steps": 0}, "steps=0"),
        ({"eta0": -1.0}, "eta0=-1.0"),
        ({"eta0": float("nan")}, "eta0=nan"),
        ({"records": 1}, "records=1"),
        ({"step": "newton"}, "step='newton' is unknown"),
        ({"init": "zero"}, "init='zero' is unknown"),
        ({"loss": "huber"}, "loss='huber' is unknown"),
        ({"width": [1, 2], "seeds": [1, 2, 3]}, "have 2, 1, 1, 3 values"),
    ],
)
def test_arguments_are_checked(given, says):
    with pytest.raises(BadInput, match=says):
        run(**given)


def test_a_negative_matrix_has_no_spectral_start():
    problem = SymmetricSensing(np.stack([np.eye(2)] * 3), [-1.0, -1.0, -1.0])
    with pytest.raises(BadInput, match="pass -y"):
        run(problem, width=2, init="spectral")


@pytest.mark.parametrize(
    "given", [{"alpha": 1.0}, {"alpha": 0.0}, {"alpha": 0.1, "r_guess": 0.5}, {"alpha": 0.1, "kappa_guess": 0.5}]
)
def test_guesses_are_checked(given):
    with pytest.raises(BadInput, match="at least 1"):
        auto_rho(**given)
