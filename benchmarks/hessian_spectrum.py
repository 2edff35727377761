"""Leading eigenvalues and densities of a Hessian side by side with three libraries, and how their cost grows.

Run from the repository root: `python benchmarks/hessian_spectrum.py`. A perceptron trained on digits, one thread.
Each time includes making the operator. Eigenvalues and residuals are compared in double precision before any timing.
Peers that are not installed are skipped: hessian-eigenthings, curvlinops-for-pytorch, pyhessian.
"""

from __future__ import annotations

import contextlib
import importlib.util
import warnings
from collections.abc import Callable, Iterator
from time import perf_counter

import numpy as np
import torch
from harness import Result, compare, figure
from torch import Tensor, nn

from overparam import data
from overparam.methods.measures.hessian_operator import HessianOperator
from overparam.methods.measures.lanczos import lanczos
from overparam.methods.measures.spectral_density import spectral_density
from overparam.models.mlp import mlp

LOSS = nn.CrossEntropyLoss()
K, TOL = 10, 1e-4
VECTORS, STEPS = 4, 80


def trained(n: int = 1000, width: int = 64) -> tuple[nn.Module, Tensor, Tensor]:
    """Train a perceptron of two hidden layers on digits by full-batch Adam."""
    images = data.load("digits")
    x = torch.from_numpy(images.images[:n] / 255.0).float().flatten(1)
    y = torch.from_numpy(images.labels[:n].copy())
    model = mlp(64, [width, width], 10, generator=torch.Generator().manual_seed(0))
    optimiser = torch.optim.Adam(model.parameters(), lr=0.003)
    for _ in range(120):
        optimiser.zero_grad()
        LOSS(model(x), y).backward()
        optimiser.step()
    optimiser.zero_grad()
    return model.eval(), x, y


def leading(model: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Ours."""
    found = lanczos(HessianOperator(model, LOSS, (x, y)), K, tol=TOL)
    return found.values, found.vectors


def eigenthings(model: nn.Module, x: Tensor, y: Tensor) -> Callable[[], tuple[Tensor, Tensor]]:
    """hessian-eigenthings with the fewest iterations, in steps of two, that reach the tolerance on all values."""
    from hessian_eigenthings.algorithms import lanczos as theirs
    from hessian_eigenthings.operators import HessianOperator as Operator

    def run(steps: int) -> tuple[Tensor, Tensor, bool]:
        op = Operator(model, [(x, y)], lambda m, batch: LOSS(m(batch[0]), batch[1]))
        found = theirs(op, k=K, max_iter=steps, tol=TOL, reorthogonalize=True, which="LA", seed=0)
        return found.eigenvalues, found.eigenvectors.T, bool(found.converged.all())

    steps = next(steps for steps in range(2 * K, 200, 2) if run(steps)[2])
    return lambda: run(steps)[:2]


def curvlinops(model: nn.Module, x: Tensor, y: Tensor) -> Callable[[], tuple[Tensor, Tensor]]:
    """SciPy's eigsh on the operator of curvlinops."""
    from curvlinops import HessianLinearOperator
    from scipy.sparse.linalg import eigsh

    def run() -> tuple[Tensor, Tensor]:
        op = HessianLinearOperator(model, LOSS, list(model.parameters()), [(x, y)], check_deterministic=False)
        start = np.random.default_rng(0).standard_normal(op.shape[0]).astype(np.float32)
        values, vectors = eigsh(op.to_scipy(np.dtype("float32")), k=K, which="LA", tol=TOL, v0=start)
        return torch.from_numpy(values[::-1].copy()), torch.from_numpy(vectors[:, ::-1].copy())

    return run


def pyhessian(model: nn.Module, x: Tensor, y: Tensor) -> Callable[[], tuple[Tensor, Tensor]]:
    """Power iteration with deflation, at the loosest tolerance that gets all values right to a hundredth."""
    from pyhessian import hessian

    right = leading(model, x, y)[0]

    def run(tol: float) -> tuple[Tensor, Tensor]:
        torch.manual_seed(0)
        values, vectors = hessian(model, LOSS, data=(x, y), cuda=False).eigenvalues(2000, tol, top_n=K)
        model.zero_grad()
        order = np.argsort(values)[::-1].copy()
        return torch.tensor(values)[order], torch.stack([torch.cat([p.flatten() for p in v]) for v in vectors], 1)[
            :, order
        ]

    for tol in (1e-3, 1e-4, 1e-5, 1e-6):
        if bool(((run(tol)[0] - right).abs() < 0.01 * right).all()):
            break
    return lambda: run(tol)


def worst(exact: HessianOperator, found: tuple[Tensor, Tensor]) -> float:
    """Largest relative residual, from products in double precision."""
    values, vectors = (t.detach().double() for t in found)
    return float(((exact.matmat(vectors) - vectors * values).norm(dim=0) / values.abs()).max())


def their_density(model: nn.Module, x: Tensor, y: Tensor) -> Callable[[], Tensor]:
    """Stochastic Lanczos quadrature of curvlinops, without re-orthogonalisation, with its own search for the range."""
    from curvlinops import HessianLinearOperator
    from curvlinops.papyan2020traces.spectrum import lanczos_approximate_spectrum

    def run() -> Tensor:
        op = HessianLinearOperator(model, LOSS, list(model.parameters()), [(x, y)], check_deterministic=False)
        return lanczos_approximate_spectrum(op, STEPS, num_repeats=VECTORS)

    return run


def our_density(model: nn.Module, x: Tensor, y: Tensor) -> object:
    """Ours."""
    return spectral_density(HessianOperator(model, LOSS, (x, y)), n_vectors=VECTORS, steps=STEPS)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Peers warn of leaks and of deprecated calls."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _eigenvalues(model: nn.Module, x: Tensor, y: Tensor) -> list[Result]:
    doubled = mlp(64, [64, 64], 10, generator=torch.Generator()).double()
    doubled.load_state_dict(model.state_dict())
    exact = HessianOperator(doubled.eval(), LOSS, (x.double(), y))
    mine = leading(model, x, y)
    reached = worst(exact, mine)
    assert reached < 2 * TOL, reached
    rows = []
    for name, module, build, target in (
        ("hessian-eigenthings", "hessian_eigenthings", eigenthings, 0.83),
        ("curvlinops + eigsh", "curvlinops", curvlinops, 0.83),
        ("PyHessian", "pyhessian", pyhessian, 0.83),
    ):
        if importlib.util.find_spec(module) is None:
            print(f"{name} is not installed: row left out")
            continue
        with quiet():
            peer = build(model, x, y)
            found = peer()
            torch.testing.assert_close(found[0].double(), mine[0], rtol=0.01 if module == "pyhessian" else 1e-3, atol=0)
            words = f"{name}, residual {worst(exact, found):.0e} against our {reached:.0e}"
            rows.append(
                compare(
                    f"top {K} of 8,970 weights, 1,000 digits",
                    lambda: leading(model, x, y),
                    peer,
                    peer_name=words,
                    target=target,
                )
            )
    return rows


def _density(model: nn.Module, x: Tensor, y: Tensor) -> list[Result]:
    rows = []
    name = f"density, {VECTORS} x {STEPS} steps, 8,970 weights"
    if importlib.util.find_spec("curvlinops") is None:
        print("curvlinops is not installed: row left out")
    else:
        with quiet():
            torch.manual_seed(0)
            peer = their_density(model, x, y)
            grid, density = peer()
            mean = float((grid * density).sum() / density.sum())
            mine = spectral_density(HessianOperator(model, LOSS, (x, y)), n_vectors=VECTORS, steps=STEPS)
            own = float((mine.weights * mine.nodes).sum(1).mean())
            assert abs(mean - own) < 0.02 * float(mine.nodes.max()), (mean, own)  # theirs is smoothed widely
            rows.append(compare(name, lambda: our_density(model, x, y), peer, peer_name="curvlinops", target=2.0))
    if importlib.util.find_spec("pyhessian"):
        from pyhessian import hessian

        words = "PyHessian: runs"
        with quiet():
            try:
                hessian(model, LOSS, data=(x, y), cuda=False).density(iter=5)
            except (AttributeError, RuntimeError) as error:
                words = f"PyHessian crashes: {str(error).split('. ')[0]}"
            model.zero_grad()
        row = Result(name, "ours runs", words, "", "", None)
        print(row)
        rows.append(row)
    return rows


def _growth() -> list[Result]:
    rows = []
    for n, width in ((250, 64), (500, 64), (1000, 64), (1000, 128), (1000, 256)):
        model, x, y = trained(n, width)
        op = HessianOperator(model, LOSS, (x, y))
        v = torch.randn(op.shape[0], generator=torch.Generator().manual_seed(0))
        op.matvec(v)
        times = []
        for _ in range(15):
            start = perf_counter()
            op.matvec(v)
            times.append(perf_counter() - start)
        rows.append(figure(f"one product, {n:,} digits, {op.shape[0]:,} weights", 1e3 * float(np.median(times)), "ms"))
    return rows


def main() -> list[Result]:
    """Check, time and compare.

    Returns:
        One result a row.
    """
    torch.set_num_threads(1)
    model, x, y = trained()
    return [*_eigenvalues(model, x, y), *_density(model, x, y), *_growth()]


if __name__ == "__main__":
    main()
