import time

import numpy as np
import pytest
import torch
from torch import nn

from overparam.errors import BadInput
from overparam.methods.measures.hessian_operator import HessianOperator
from overparam.methods.measures.spectral_density import spectral_density, trace
from overparam.models.mlp import mlp


class Matrix:
    def __init__(self, dense, wait=0.0):
        self.dense, self.shape, self.wait = dense, tuple(dense.shape), wait

    def matvec(self, v):
        time.sleep(self.wait)
        return self.dense @ v


class Wide(Matrix):
    def matmat(self, V):
        return self.dense @ V


def wishart(size=60, rank=90, seed=0):
    a = torch.randn(rank, size, generator=torch.Generator().manual_seed(seed)).double()
    return a.T @ a / rank


def test_moments_of_the_quadrature():
    """Mean tr A / P and second moment |A|² / P are those of the vectors, exactly, for any number of steps >= 2."""
    dense, found = wishart(), None
    signs = torch.randint(0, 2, (3, 60), generator=torch.Generator().manual_seed(0), dtype=torch.int8).double() * 2 - 1
    for steps in (2, 10):
        found = spectral_density(Matrix(dense), n_vectors=3, steps=steps)
        torch.testing.assert_close(found.weights.sum(1), torch.ones(3).double())
        first = (signs @ dense * signs).sum(1) / 60
        torch.testing.assert_close((found.weights * found.nodes).sum(1), first)
        torch.testing.assert_close((found.weights * found.nodes**2).sum(1), (signs @ dense).square().sum(1) / 60)
    many = spectral_density(Wide(dense), n_vectors=400, steps=4)
    assert float((many.weights * many.nodes).sum(1).mean()) == pytest.approx(float(dense.trace()) / 60, rel=0.01)
    second = float((many.weights * many.nodes**2).sum(1).mean())
    assert second == pytest.approx(float(dense.square().sum()) / 60, rel=0.02)


def test_full_quadrature_counts_the_eigenvalues():
    dense = wishart()
    values = torch.linalg.eigvalsh(dense)
    found = spectral_density(Wide(dense), n_vectors=200, steps=60)
    for low, high in ((0, 0.5), (0.5, 1.5), (1.5, 9)):
        expected = float(((values >= low) & (values <= high)).double().mean())
        assert found.share(low, high) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("log", [False, True])
def test_density_integrates_to_one(log):
    found = spectral_density(Matrix(wishart()), log=log)
    assert float(torch.trapezoid(found.density, found.grid)) == pytest.approx(1.0, abs=1e-4)
    assert found.density.min() >= 0
    assert found.complete
    assert found.n_matvec == 4 * 60  # no more steps than weights


def test_logarithmic_scale_shows_the_bulk():
    values = torch.cat([torch.full((10,), 1.0), torch.full((90,), 1e-4)]).double()
    found = spectral_density(Matrix(torch.diag(values)), log=True)
    near = found.grid[found.density.argmax()]
    assert float(near) == pytest.approx(-4, abs=0.05)
    zero = spectral_density(Matrix(torch.diag((values > 0.5).double())), log=True)
    assert float(zero.grid[zero.density.argmax()]) == pytest.approx(-8, abs=0.05)


def test_constant_spectra():
    found = spectral_density(Matrix(2 * torch.eye(20).double()))
    assert float(found.grid[found.density.argmax()]) == pytest.approx(2, abs=1e-3)
    nothing = spectral_density(Matrix(torch.zeros(20, 20).double()), log=True)
    assert torch.isfinite(nothing.density).all()


def test_batched_and_single_products_agree():
    draw = torch.Generator().manual_seed(0)
    model = mlp(4, [6], 3, generator=draw).double()
    op = HessianOperator(
        model, nn.CrossEntropyLoss(), (torch.randn(20, 4, generator=draw).double(), torch.arange(20) % 3)
    )

    class Plain:
        shape = op.shape
        matvec = staticmethod(op.matvec)

    one, two = spectral_density(op, steps=15), spectral_density(Plain(), steps=15)
    torch.testing.assert_close(one.nodes, two.nodes, rtol=1e-6, atol=1e-9)
    dense = op.to_dense()
    assert trace(op, n=150).value == pytest.approx(float(dense.trace()), rel=1e-9)


def test_groups_of_vectors_give_the_same(monkeypatch):
    from overparam.methods.measures import spectral_density as module

    dense = wishart()
    whole = spectral_density(Matrix(dense), n_vectors=5, steps=8)
    monkeypatch.setattr(module, "BASIS_BYTES", 2 * 8 * 60 * 8)
    parts = spectral_density(Matrix(dense), n_vectors=5, steps=8)
    torch.testing.assert_close(whole.nodes, parts.nodes)


def test_a_deadline_bounds_the_cost(monkeypatch):
    op = Matrix(wishart(), wait=0.01)
    found = spectral_density(op, n_vectors=2, steps=50, deadline=time.monotonic() + 0.1)
    assert not found.complete
    assert 2 <= found.n_matvec < 60
    torch.testing.assert_close(found.weights.sum(1), torch.ones(2).double())
    from overparam.methods.measures import spectral_density as module

    monkeypatch.setattr(module, "BASIS_BYTES", 1)
    past = spectral_density(op, n_vectors=3, steps=50, deadline=time.monotonic() - 1)
    assert (past.n_matvec, past.nodes.shape) == (1, (1, 50))


@pytest.mark.parametrize("method", ["hutch++", "hutchinson"])
def test_trace_is_unbiased_and_knows_its_error(method):
    dense = wishart()
    found = [trace(Matrix(dense), n=12, method=method, seed=s) for s in range(200)]
    values = np.array([f.value for f in found])
    spread = values.std()
    assert abs(values.mean() - float(dense.trace())) < 4 * spread / np.sqrt(200)
    assert np.sqrt(np.mean([f.error**2 for f in found])) == pytest.approx(spread, rel=0.3)
    assert found[0].n_matvec == 12


def test_the_sketch_helps_where_eigenvalues_fall_quickly():
    dense = torch.diag(torch.tensor([2.0**-i for i in range(100)]).double())
    q = torch.linalg.qr(torch.randn(100, 100, generator=torch.Generator().manual_seed(1)).double()).Q
    op = Matrix(q @ dense @ q.T)
    exact = float(dense.trace())
    wrong = {
        m: np.mean([abs(trace(op, n=30, method=m, seed=s).value - exact) for s in range(20)])
        for m in ("hutch++", "hutchinson")
    }
    assert wrong["hutch++"] < wrong["hutchinson"] / 20


def test_refuses():
    op = Matrix(wishart())
    for options in ({"n_vectors": 0}, {"steps": 0}, {"sigma": 0.0}, {"sigma": -1.0}):
        with pytest.raises(BadInput, match="must be positive"):
            spectral_density(op, **options)
    for options in ({"n": 2}, {"n": 0, "method": "hutchinson"}, {"method": "guess"}):
        with pytest.raises(BadInput, match="choose hutch"):
            trace(op, **options)
    with pytest.raises(BadInput, match="square"):
        trace(Matrix(torch.ones(2, 3)))
    with pytest.raises(BadInput, match="NaN"):
        spectral_density(Matrix(torch.full((3, 3), torch.nan).double()))

    class Broken(Matrix):
        def matmat(self, V):
            return V * torch.nan

    with pytest.raises(BadInput, match="matmat gives NaN"):
        trace(Broken(wishart()))
