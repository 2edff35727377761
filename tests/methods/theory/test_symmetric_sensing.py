import math

import numpy as np
import pytest

from overparam.errors import BadInput
from overparam.methods.theory.symmetric_sensing import CLEAN_PHI, Noise, SymmetricSensing, robust_instance

RNG = np.random.default_rng(0)
D, M = 7, 40
A = RNG.normal(size=(M, D, D))
Y = RNG.normal(size=M)
PROBLEM = SymmetricSensing(A, Y)


def symmetric(count=3):
    x = RNG.normal(size=(count, D, D))
    return (x + x.transpose(0, 2, 1)) / 2


def test_packed_products_equal_dense_ones():
    x, w = symmetric(), RNG.normal(size=(2, M))
    np.testing.assert_allclose(PROBLEM.forward(x), np.einsum("mij,sij->sm", A, x), atol=1e-12)
    dense = np.einsum("sm,mij->sij", w, (A + A.transpose(0, 2, 1)) / 2) / M
    np.testing.assert_allclose(PROBLEM.pull(w), dense, atol=1e-12)


def test_pulling_is_the_adjoint_of_measuring():
    x, w = symmetric(1), RNG.normal(size=(1, M))
    assert (PROBLEM.forward(x) * w).sum() / M == pytest.approx((x * PROBLEM.pull(w)).sum(), rel=1e-12)


def test_the_callers_arrays_stay_as_they_are():
    a, y = A.copy(), Y.copy()
    SymmetricSensing(a, y).part(slice(0, 3)).rescaled(2.0)
    np.testing.assert_array_equal(a, A)
    np.testing.assert_array_equal(y, Y)


def test_antisymmetric_parts_do_not_matter():
    x = symmetric()
    other = SymmetricSensing(A + (np.triu(A, 1) - np.triu(A, 1).transpose(0, 2, 1)), Y)
    np.testing.assert_allclose(PROBLEM.forward(x), other.forward(x), atol=1e-12)


@pytest.mark.parametrize(
    "noise",
    [Noise("none"), Noise("outlier", p=0.3, scale=5.0), Noise("gaussian", scale=0.7), Noise("student", scale=0.7)],
)
def test_the_scaling_function_is_that_of_a_large_sample(noise):
    norm, rng = 1.5, np.random.default_rng(1)
    direction, s = rng.normal(size=400_000), noise.draw(400_000, rng)
    found = (np.sign(norm * direction - s) * direction).mean()
    assert found == pytest.approx(noise.phi(norm), abs=0.005)


def test_the_scaling_function_has_its_limits():
    for noise in (Noise("outlier", p=0.4), Noise("gaussian"), Noise("student")):
        assert noise.phi(1e9) == pytest.approx(CLEAN_PHI, rel=1e-3)
        assert 0 <= noise.phi(1e-3) < noise.phi(1.0) < CLEAN_PHI
    assert Noise("outlier", p=0.4, scale=1e9).phi(1.0) == pytest.approx(0.6 * CLEAN_PHI, rel=1e-6)
    assert Noise("none").phi(3.0) == CLEAN_PHI == math.sqrt(2 / math.pi)


def test_instances_are_what_they_say():
    problem = robust_instance(8, 3, 200, noise=Noise("outlier", p=0.25, scale=50.0), kappa=4.0, rng=0)
    np.testing.assert_allclose(np.linalg.eigvalsh(problem.target)[-3:], [0.25, 0.5, 1.0], atol=1e-12)
    np.testing.assert_allclose(problem.y - problem.errors, problem.forward(problem.target[None])[0], atol=1e-12)
    assert (problem.errors != 0).mean() == pytest.approx(0.25, abs=0.1)
    assert problem.loss_at_truth == pytest.approx(np.abs(problem.errors).mean(), rel=1e-12)
    assert math.isnan(PROBLEM.loss_at_truth)
    assert robust_instance(4, 1, 900, noise=Noise("none"), rng=0).entry_variance == pytest.approx(1, rel=0.03)


def test_parts_and_scales_are_the_same_problem():
    problem = robust_instance(6, 2, 50, rng=0)
    some = problem.part(np.array([4, 7]))
    np.testing.assert_array_equal(some.y, problem.y[[4, 7]])
    np.testing.assert_allclose(some.forward(problem.target[None])[0], problem.forward(problem.target[None])[0, [4, 7]])
    twice = problem.rescaled(2.0)
    assert twice.loss_at_truth == pytest.approx(2 * problem.loss_at_truth)
    same = SymmetricSensing(10 * A, 10 * Y).standardised()
    assert same.entry_variance == pytest.approx(1)
    np.testing.assert_allclose(same.y, PROBLEM.standardised().y)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (lambda: SymmetricSensing(A[0], Y), "give \\(m, d, d\\)"),
        (lambda: SymmetricSensing(A[:, :3], Y), "give \\(m, d, d\\)"),
        (lambda: SymmetricSensing(A, Y[:5]), "y has shape \\(5,\\) with 40 matrices"),
        (lambda: SymmetricSensing(A, Y, errors=Y[:5]), "errors has shape"),
        (lambda: SymmetricSensing(A, np.full(M, np.nan)), "y holds 40 numbers that are not finite"),
        (lambda: SymmetricSensing(A, Y, target=np.eye(3)), "target has shape \\(3, 3\\)"),
        (lambda: SymmetricSensing(A, Y, target=A[0]), "target is not symmetric"),
        (lambda: SymmetricSensing(0 * A, Y).standardised(), "zeros only"),
        (lambda: Noise("cauchy"), "'cauchy' is unknown"),
        (lambda: Noise(p=1.0), "p=1.0"),
        (lambda: Noise(scale=0.0), "scale=0.0"),
        (lambda: Noise().phi(0.0), "norm=0.0"),
        (lambda: robust_instance(5, 6, 10, rng=0), "r=6"),
        (lambda: robust_instance(5, 2, 10, kappa=0.5, rng=0), "kappa=0.5"),
    ],
)
def test_bad_input_is_named(given, says):
    with pytest.raises(BadInput, match=says):
        given()
