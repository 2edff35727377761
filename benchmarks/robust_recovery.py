"""Sub-gradient descent side by side with a PyTorch loop and with convex programming, and growth with m, d and width.

Run from the repository root: `python benchmarks/robust_recovery.py`. Equal numbers are asserted before any timing.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import torch
from harness import Result, compare, figure, growth
from numpy.typing import NDArray

from overparam.methods.theory.robust_recovery import Trajectory, subgm
from overparam.methods.theory.symmetric_sensing import Noise, SymmetricSensing, robust_instance

Array = NDArray[np.float64]
OUTLIERS = Noise("outlier", p=0.1, scale=10.0)
ALPHAS = (1e-2, 1e-4, 1e-6, 1e-8)


def drawn(d: int, m: int) -> tuple[Array, SymmetricSensing]:
    """Draw matrices and a problem whose matrices they are."""
    problem = robust_instance(d, 3, m, noise=OUTLIERS, rng=0)
    rng = np.random.default_rng(1)
    matrices = rng.normal(size=(m, d, d))
    assert problem.target is not None
    assert problem.errors is not None
    y = matrices.reshape(m, -1) @ problem.target.ravel() + problem.errors
    return matrices, SymmetricSensing(matrices, y, target=problem.target)


def torch_loop(matrices: Array, y: Array, alpha: float, steps: int, rho: float) -> Array:
    """The same descent by automatic differentiation and torch.optim.SGD, from the same random start."""
    d = matrices.shape[1]
    flat, seen = torch.from_numpy(matrices.reshape(len(y), -1)), torch.from_numpy(y)
    u = torch.tensor(alpha * np.random.default_rng(0).normal(0.0, d**-0.5, (d, d)), requires_grad=True)
    optimiser = torch.optim.SGD([u], lr=1.0)
    for t in range(steps):
        optimiser.zero_grad()
        x = u @ u.T
        x.retain_grad()
        (flat @ x.flatten() - seen).abs().mean().backward()
        assert x.grad is not None
        norm = (x.grad + x.grad.T).norm() / 2
        optimiser.param_groups[0]["lr"] = 0.2 * rho**t / (2 * float(norm))
        optimiser.step()
    found: Array = u.detach().numpy()
    return found @ found.T


def against_torch() -> list[Result]:
    """One run, and four starts at once, at three sizes."""
    results = []
    for d, m, steps in ((10, 200, 1000), (20, 600, 1000), (40, 1200, 300)):
        matrices, problem = drawn(d, m)

        def ours(scales: tuple[float, ...], n: int = steps, problem: SymmetricSensing = problem) -> Trajectory:
            return subgm(problem, problem.d, init_scale=scales, steps=n, rho=0.997, init="random", seeds=0, records=2)

        def loop(scales: tuple[float, ...], n: int = steps, a: Array = matrices, y: Array = problem.y) -> list[Array]:
            return [torch_loop(a, y, alpha, n, 0.997) for alpha in scales]

        few = ours(ALPHAS, 40).U  # signs near ties depend on the order of sums, so that long runs part at rounding
        for u, x in zip(few, loop(ALPHAS, 40), strict=True):
            np.testing.assert_allclose(u @ u.T, x, rtol=1e-6, atol=1e-9)
        name = f"{steps:,} steps, d = {d}, m = {m:,}"
        for scales, words, target in ((ALPHAS[2:3], "one run", 1.5), (ALPHAS, "four starts", 3.0)):
            results.append(
                compare(
                    f"{name}, {words}",
                    lambda ours=ours, scales=scales: ours(scales),
                    lambda loop=loop, scales=scales: loop(scales),
                    peer_name="torch.autograd and SGD",
                    repeats=5,
                    target=target,
                )
            )
    return results


def convex(matrices: Array, y: Array, weight: float) -> Array:
    """Least mean absolute error with the trace as a penalty, over positive semi-definite matrices."""
    import cvxpy as cp

    d = matrices.shape[1]
    x = cp.Variable((d, d), PSD=True)
    flat = matrices.reshape(len(y), -1)
    residuals = flat @ cp.vec(x, order="C") - y
    cp.Problem(cp.Minimize(cp.norm1(residuals) / len(y) + weight * cp.trace(x))).solve(solver=cp.CLARABEL)
    return np.asarray(x.value, dtype=np.float64)


def against_convex() -> list[Result]:
    """Accuracy and time of convex programming, d at most 20."""
    results = []
    for d, m in ((10, 200), (15, 400), (20, 600)):
        matrices, problem = drawn(d, m)
        assert problem.target is not None

        def ours(problem: SymmetricSensing = problem) -> Array:
            path = subgm(problem, problem.d, init_scale=1e-8, steps=4000, rho=0.997, records=2)
            return np.asarray(path.U[0] @ path.U[0].T)

        def peer(a: Array = matrices, y: Array = problem.y) -> Array:
            return convex(a, y, 1e-3)

        errors = [float(np.linalg.norm(x - problem.target)) for x in (ours(), peer())]
        assert max(errors) < 1e-2, errors  # both recover the same matrix
        results.append(figure(f"error, d = {d}, m = {m} (cvxpy: {errors[1]:.1e})", errors[0], "", at_most=1e-4))
        results.append(
            compare(
                f"recovery to 1e-5, d = {d}, m = {m}", ours, peer, peer_name="cvxpy, Clarabel", repeats=3, target=1.0
            )
        )
    return results


def doublings() -> list[Result]:
    """CPU time when m, d or the width doubles; 2 is linear, 4 is quadratic."""

    def descent(d: int, m: int, width: int, steps: int = 100) -> Callable[[], object]:
        problem = robust_instance(d, 3, m, noise=OUTLIERS, rng=0)
        return lambda: subgm(
            problem, width, init_scale=ALPHAS, steps=steps, rho=0.99, init="random", seeds=0, records=2
        )

    sizes = (
        ("measurements", {m: descent(20, m, 20) for m in (1000, 2000, 4000)}, 2.4),
        ("side", {d: descent(d, 1000, d) for d in (20, 40, 80)}, 4.8),
        ("width", {w: descent(40, 1000, w) for w in (10, 20, 40)}, 1.3),
    )
    return [growth(f"100 steps, {name}", calls, at_most=most) for name, calls, most in sizes]


def main() -> list[Result]:
    """Check, time and compare.

    Returns:
        One result a comparison.
    """
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cvxpy on solvers that are not installed
        return [*against_torch(), *against_convex(), *doublings()]


if __name__ == "__main__":
    main()
