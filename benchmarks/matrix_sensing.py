"""Matrix sensing: ten seeds in one program against a loop of autograd and SGD."""

from __future__ import annotations

import numpy as np
import torch
from harness import Result, compare

from overparam.methods.theory.factor_descent import _start, factor_gd
from overparam.methods.theory.matrix_sensing import MatrixSensing, gaussian_sensing, low_rank_target

SEEDS = tuple(range(10))


def autograd(problem: MatrixSensing, k: int, steps: int) -> np.ndarray:
    """Descend with torch.optim.SGD, one seed after the other."""
    operator = None if problem.operator is None else torch.from_numpy(problem.operator)
    observed = torch.from_numpy(problem.observed)
    f0, g0 = _start(problem.shape, k, 0.5, 3.0, False, SEEDS)
    found = []
    for s in range(len(SEEDS)):
        f, g = (torch.tensor(x[s], requires_grad=True) for x in (f0, g0))
        optimiser = torch.optim.SGD([f, g], lr=0.1)
        for _ in range(steps):
            optimiser.zero_grad()
            product = f @ g.T
            seen = product if operator is None else torch.einsum("mij,ij->m", operator, product)
            (0.5 * (seen - observed).square().sum()).backward()
            optimiser.step()
        found.append((f @ g.T).detach().numpy())
    return np.stack(found)


def ours(problem: MatrixSensing, k: int, steps: int) -> np.ndarray:
    """Descend with all seeds at once."""
    path = factor_gd(
        problem, k, parametrization="asymmetric", lr=0.1, init_scale=0.5, steps=steps, seeds=SEEDS, records=2
    )
    return path.factors[0] @ path.factors[1].transpose(0, 2, 1)


def main() -> list[Result]:
    """Compare on full observation and on dense sensing, at three sizes of the first."""
    torch.set_num_threads(1)
    results = []
    for n, steps in ((20, 200), (50, 200), (100, 100)):
        target = low_rank_target(n, n, singular_values=(1, 1, 1), psd=True, rng=1)
        full = MatrixSensing((n, n)).observe(target)
        np.testing.assert_allclose(ours(full, 5, steps), autograd(full, 5, steps), atol=1e-9)
        name = f"{steps} steps, {n} x {n}, full observation"
        results.append(
            compare(
                name,
                lambda p=full, t=steps: ours(p, 5, t),
                lambda p=full, t=steps: autograd(p, 5, t),
                peer_name="autograd loop",
                target=5 if n == 50 else None,
            )
        )
    target = low_rank_target(30, 30, singular_values=(1, 1, 1), psd=True, rng=1)
    sensed = gaussian_sensing(30, 30, 1500, 0).observe(target)
    np.testing.assert_allclose(ours(sensed, 5, 50), autograd(sensed, 5, 50), atol=1e-9)
    results.append(
        compare(
            "50 steps, 30 x 30, 1,500 measurements",
            lambda: ours(sensed, 5, 50),
            lambda: autograd(sensed, 5, 50),
            peer_name="autograd loop",
            repeats=5,
            target=5,
        )
    )
    return results
