import time

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import aslinearoperator
from torch import nn

from overparam.errors import BadInput
from overparam.methods.measures.hessian_operator import HessianOperator
from overparam.methods.measures.lanczos import lanczos
from overparam.models.mlp import mlp


class Matrix:
    def __init__(self, dense, wait=0.0):
        self.dense, self.shape, self.dtype, self.wait, self.calls = dense, tuple(dense.shape), dense.dtype, wait, 0

    def matvec(self, v):
        time.sleep(self.wait)
        self.calls += 1
        return self.dense @ v


def symmetric(values, seed=0):
    values = torch.as_tensor(values, dtype=torch.float64)
    draw = torch.Generator().manual_seed(seed)
    q = torch.linalg.qr(torch.randn(len(values), len(values), generator=draw).double()).Q
    return q @ torch.diag(values) @ q.T


SPECTRUM = torch.cat([torch.tensor([9.0, 7, 5, -8, -6]), torch.linspace(-0.5, 0.5, 195)]).double()


@pytest.mark.parametrize(("which", "expected"), [("LA", [9, 7, 5]), ("SA", [-8, -6, -0.5]), ("LM", [9, -8, 7])])
def test_agrees_with_the_dense_solver(which, expected):
    dense = symmetric(SPECTRUM)
    found = lanczos(Matrix(dense), 3, which=which, tol=1e-8)
    assert found.converged
    assert found.stopped == "residuals"
    np.testing.assert_allclose(found.values, expected, rtol=1e-6)
    true = (dense @ found.vectors - found.vectors * found.values).norm(dim=0)
    assert (true <= found.residuals + 1e-12).all()
    torch.testing.assert_close(found.vectors.T @ found.vectors, torch.eye(3).double())


def test_stops_on_residuals_and_counts_products():
    op = Matrix(symmetric(SPECTRUM))
    loose = lanczos(op, 3, tol=1e-2)
    assert loose.n_matvec == op.calls < 40
    assert (loose.residuals <= 1e-2 * loose.values.abs()).all()
    assert lanczos(op, 3, tol=1e-8).n_matvec > loose.n_matvec


def test_single_precision_shows_no_ghosts():
    """Without orthogonality copies of the largest eigenvalue turn up among the first."""
    values = torch.cat([torch.tensor([100.0, 50.0]), torch.linspace(0, 1, 398)])
    op = Matrix(symmetric(values).float())
    found = lanczos(op, 10, tol=1e-5, max_iter=200)
    expected = values.sort(descending=True).values[:10].double()
    np.testing.assert_allclose(found.values, expected, rtol=1e-3, atol=1e-4)
    assert found.vectors.dtype == torch.float32
    assert found.values.dtype == torch.float64


def test_multiple_eigenvalues_of_a_small_space():
    for values, k, expected in (
        ([3, 3, 3, 1, 1], 3, [3, 3, 3]),
        ([1] * 6, 4, [1] * 4),
        ([5, 2] + [0] * 20, 4, [5, 2, 0, 0]),
        ([0] * 8, 2, [0, 0]),
    ):
        found = lanczos(Matrix(symmetric([float(v) for v in values])), k)
        np.testing.assert_allclose(found.values, expected, atol=1e-9)
        assert found.converged


def test_values_below_rounding_do_not_block_the_end():
    """With k above the rank, single precision can never reach a small relative residual."""
    op = Matrix(symmetric([5.0, 3.0] + [1e-9 * i for i in range(60)]).float())
    found = lanczos(op, 5)
    assert found.converged
    assert found.values[2:].abs().max() < 1e-5


def test_at_the_cap_it_says_so():
    found = lanczos(Matrix(symmetric(torch.linspace(0, 1, 300))), 5, tol=1e-12, max_iter=12)
    assert (found.converged, found.stopped, found.n_matvec) == (False, "max_iter", 12)
    assert found.values.shape == (5,)
    assert found.residuals.max() > 1e-12


def test_a_deadline_bounds_the_cost():
    op = Matrix(symmetric(torch.linspace(0, 1, 300)), wait=0.02)
    found = lanczos(op, 5, tol=1e-12, deadline=time.monotonic() + 0.3)
    assert (found.converged, found.stopped) == (False, "deadline")
    assert 5 <= found.n_matvec < 40
    past = lanczos(op, 5, deadline=time.monotonic() - 1)
    assert (past.converged, past.n_matvec, len(past.values)) == (False, 1, 1)
    assert past.vectors.shape == (300, 1)


def test_any_object_with_shape_and_products_serves():
    dense = symmetric(SPECTRUM)
    found = lanczos(aslinearoperator(dense.numpy()), 2, tol=1e-8)
    np.testing.assert_allclose(found.values, [9, 7], rtol=1e-6)


def test_seeds_repeat_and_the_global_generator_stays():
    op, state = Matrix(symmetric(SPECTRUM)), torch.random.get_rng_state()
    one, two, three = lanczos(op, 3), lanczos(op, 3), lanczos(op, 3, seed=1)
    assert torch.equal(one.vectors, two.vectors)
    assert not torch.equal(one.vectors, three.vectors)
    torch.testing.assert_close(one.values, three.values, rtol=1e-6, atol=0)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_hessian_of_a_network():
    draw = torch.Generator().manual_seed(0)
    model = mlp(6, [10], 3, generator=draw)
    x, y = torch.randn(40, 6, generator=draw), torch.arange(40) % 3
    exact = torch.linalg.eigvalsh(HessianOperator(model.double(), nn.CrossEntropyLoss(), (x.double(), y)).to_dense())
    found = lanczos(HessianOperator(model.float(), nn.CrossEntropyLoss(), (x, y)), 4, tol=1e-5)
    np.testing.assert_allclose(found.values, exact.flip(0)[:4], rtol=1e-5)
    low = lanczos(HessianOperator(model.double(), nn.CrossEntropyLoss(), (x.double(), y)), 2, which="SA", tol=1e-8)
    np.testing.assert_allclose(low.values, exact[:2], rtol=1e-6)


def test_refuses():
    op = Matrix(symmetric([1.0, 2.0, 3.0]))
    for options, words in (
        ({"k": 0}, "k=0"),
        ({"k": 3}, "k=3 of 3"),
        ({"k": 1, "which": "BE"}, "which='BE'"),
        ({"k": 1, "tol": 0.0}, "tol=0"),
        ({"k": 2, "max_iter": 1}, "max_iter=1"),
    ):
        with pytest.raises(BadInput, match=words):
            lanczos(op, **options)
    with pytest.raises(BadInput, match="square"):
        lanczos(Matrix(torch.ones(2, 3)), 1)
    with pytest.raises(BadInput, match="NaN"):
        lanczos(Matrix(torch.full((3, 3), torch.nan)), 1)

    class Short:
        shape = (3, 3)

        def matvec(self, v):
            return v[:2]

    with pytest.raises(BadInput, match="keep the shape"):
        lanczos(Short(), 1)
