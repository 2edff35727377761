import numpy as np
import pytest

from overparam.errors import BadInput
from overparam.methods.theory.matrix_sensing import MatrixSensing, gaussian_sensing, low_rank_target

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("m", [5, 40])
def test_the_adjoint_is_the_adjoint(m):
    problem = gaussian_sensing(4, 6, m, 0)
    matrix, z = RNG.normal(size=(4, 6)), RNG.normal(size=m)
    assert problem.forward(matrix) @ z == pytest.approx((matrix * problem.adjoint(z)).sum(), rel=1e-12)


def test_full_observation_is_the_identity():
    problem = MatrixSensing((3, 3)).observe(np.eye(3))
    gradient, loss = problem.residual(np.zeros((1, 3, 3)))
    assert (gradient[0] == -np.eye(3)).all()
    assert loss == 1.5


@pytest.mark.parametrize("m", [8, 30])
def test_the_gram_path_equals_the_plain_path(m):
    problem = gaussian_sensing(5, 5, m, 1)
    target, x = RNG.normal(size=(5, 5)), RNG.normal(size=(3, 5, 5))
    fast = problem.observe(target).residual(x)
    plain = MatrixSensing((5, 5), operator=problem.operator, observed=problem.forward(target)).residual(x)
    np.testing.assert_allclose(fast[0], plain[0], atol=1e-12)
    np.testing.assert_allclose(fast[1], plain[1], atol=1e-12)


@pytest.mark.parametrize("operator", [None, RNG.normal(size=(7, 3, 4)), RNG.normal(size=(20, 3, 4))])
def test_the_residual_is_the_gradient_of_the_loss(operator):
    import torch

    problem = MatrixSensing((3, 4), operator=operator).observe(RNG.normal(size=(3, 4)))
    x = RNG.normal(size=(3, 4))
    t = torch.tensor(x, requires_grad=True)
    seen = t if operator is None else torch.einsum("mij,ij->m", torch.from_numpy(operator), t)
    loss = 0.5 * (seen - torch.from_numpy(problem.observed)).square().sum()
    loss.backward()
    gradient, value = problem.residual(x[None])
    np.testing.assert_allclose(gradient[0], t.grad.numpy(), atol=1e-12)
    assert value[0] == pytest.approx(loss.item())


def test_gaussian_operators_are_near_isometric_on_low_rank():
    problem = gaussian_sensing(20, 20, 4000, 0, symmetric=True)
    assert np.allclose(problem.operator, problem.operator.transpose(0, 2, 1))
    target = low_rank_target(20, 20, singular_values=(1, 1), psd=True, rng=1)
    assert (problem.forward(target) ** 2).sum() == pytest.approx(2.0, rel=0.1)


def test_targets_have_the_spectrum_asked_for():
    matrix = low_rank_target(7, 5, singular_values=(3, 1), psd=False, rng=0)
    np.testing.assert_allclose(np.linalg.svd(matrix)[1], [3, 1, 0, 0, 0], atol=1e-12)
    symmetric = low_rank_target(6, 6, singular_values=(2, 1), psd=True, rng=0)
    np.testing.assert_allclose(np.linalg.eigvalsh(symmetric)[-2:], [1, 2], atol=1e-12)
    assert (low_rank_target(6, 6, singular_values=(2, 1), psd=True, rng=0) == symmetric).all()


def test_bad_problems_are_refused():
    with pytest.raises(BadInput, match="matrices of shape"):
        MatrixSensing((2, 2), operator=np.zeros((3, 4, 4)))
    with pytest.raises(BadInput, match="call observe"):
        MatrixSensing((2, 2)).residual(np.zeros((1, 2, 2)))
    with pytest.raises(BadInput, match="equal sides if symmetric"):
        gaussian_sensing(2, 3, 4, 0, symmetric=True)
    with pytest.raises(BadInput, match="give 1 to 2 positive values"):
        low_rank_target(2, 3, singular_values=(1, 1, 1), psd=False, rng=0)
    with pytest.raises(BadInput, match="positive values"):
        low_rank_target(2, 2, singular_values=(0.0,), psd=True, rng=0)
