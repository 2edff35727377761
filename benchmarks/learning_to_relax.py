"""Tables of iteration counts against loops of pyamg and SciPy, and what a learner costs a round at three sizes.

Run from the repository root: `python benchmarks/learning_to_relax.py`. Equal counts are asserted before any timing;
those of conjugate gradients may differ by one in one cell of a hundred, as any two orders of summation do.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from statistics import median

import numpy as np
from harness import Result, compare, cpu_seconds, figure, growth
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array, tril
from scipy.sparse.linalg import LinearOperator, cg, splu

from overparam.methods.tuning.bandits import TsallisINF
from overparam.methods.tuning.cheb_cb import ChebCB
from overparam.methods.tuning.heat import heat_steps
from overparam.methods.tuning.relaxation import Stencil5, sor, ssor_pcg
from overparam.methods.tuning.sequence import instances
from overparam.methods.tuning.sor_table import sor_cost_table, ssor_pcg_cost_table

ARMS = np.linspace(1.0, 1.95, 20)
SIZES = (10, 30, 90)
Array = NDArray[np.float64]


def pyamg_table(size: int, shifts: Array, rhs: Array, omegas: Array, *, core: bool = False) -> NDArray[np.int64]:
    """Count sweeps by pyamg, one system and omega after the other; `core` calls its C++ without the checks."""
    from pyamg.amg_core import sor_gauss_seidel
    from pyamg.relaxation.relaxation import sor as pyamg_sor
    from scipy.sparse import csr_matrix

    counts = np.zeros((len(shifts), len(omegas)), dtype=np.int64)
    for t, (c, b) in enumerate(zip(shifts, rhs, strict=True)):
        A = csr_matrix(Stencil5(size, float(c)).matrix())
        edge = 1e-8 * np.linalg.norm(b)
        for i, omega in enumerate(omegas):
            x = np.zeros_like(b)
            k, residual = 0, np.inf
            while residual >= edge:
                if core:
                    sor_gauss_seidel(A.indptr, A.indices, A.data, x, b, 0, len(b), 1, omega)
                else:
                    pyamg_sor(A, x, b, omega, iterations=1)
                k, residual = k + 1, np.linalg.norm(b - A @ x)
            counts[t, i] = k
    return counts


def tables() -> list[Result]:
    """Batched tables against loops, at three sizes, and growth with the number of systems."""
    results = []
    for size, count in ((5, 40), (10, 40), (20, 40)):
        shifts, rhs = instances("low", count, size**2, np.random.default_rng(0))
        shifts = shifts + 0.15  # larger grids have smaller eigenvalues
        ours = lambda s=size, c=shifts, b=rhs: sor_cost_table(Stencil5(s), c, b, ARMS)  # noqa: E731
        for core, name, target in ((False, "pyamg in a loop", 4.0), (True, "pyamg's C++ in a loop, no checks", None)):
            peer = lambda s=size, c=shifts, b=rhs, k=core: pyamg_table(s, c, b, ARMS, core=k)  # noqa: E731
            np.testing.assert_array_equal(ours(), peer())
            results.append(
                compare(
                    f"sweeps of {count} systems at 20 omegas, {size**2} rows", ours, peer, peer_name=name, repeats=3,
                    target=target,
                )
            )  # fmt: skip
    calls = {}
    for count in (100, 200, 400):
        shifts, rhs = instances("low", count, 100, np.random.default_rng(0))
        calls[count] = lambda c=shifts, b=rhs: sor_cost_table(Stencil5(10), c, b, ARMS)
    return [*results, growth("table of sweeps, systems", calls, at_most=2.2)]


def scipy_count(A: csr_array, b: Array, omega: float, x0: Array) -> int:
    """Steps of scipy's conjugate gradients with the SSOR preconditioner."""
    d = A.diagonal()
    lower = splu((omega * tril(A, -1) + diags_array(d)).tocsc(), permc_spec="NATURAL", diag_pivot_thresh=0.0)
    apply = lambda r: omega * (2 - omega) * lower.solve(d * lower.solve(r), "T")  # noqa: E731
    steps = []
    cg(A, b, x0=x0, rtol=1e-8, atol=0.0, M=LinearOperator(A.shape, apply), callback=steps.append)
    return len(steps)


def conjugate_gradients() -> list[Result]:
    """One solve, and a table of a heat simulation, against scipy's conjugate gradients."""
    results = []
    for nx, steps in ((13, 40), (25, 20), (50, 6)):
        part = next(heat_steps(nx, steps, 1.0 / steps))
        systems = [Stencil5(nx - 1, float(c)).matrix() for c in part.shifts]

        def loop(systems: list[csr_array] = systems, part: object = part) -> NDArray[np.int64]:
            return np.array([
                [scipy_count(A, b, float(w), x0) for w in ARMS]
                for A, b, x0 in zip(systems, part.rhs, part.starts, strict=True)
            ])

        def batch(nx: int = nx, part: object = part) -> NDArray[np.int64]:
            return ssor_pcg_cost_table(Stencil5(nx - 1), part.shifts, part.rhs, ARMS, starts=part.starts)

        one = lambda A=systems[-1], p=part: ssor_pcg(A, p.rhs[-1], 1.5, p.starts[-1])  # noqa: E731
        peer = lambda A=systems[-1], p=part: scipy_count(A, p.rhs[-1], 1.5, p.starts[-1])  # noqa: E731
        assert one().iterations == peer()
        gap = np.abs(batch() - loop())  # near omega = 2 rounding moves a count of conjugate gradients by one
        assert gap.max() <= 1
        assert (gap > 0).mean() <= 0.01
        results += [
            compare(f"one solve by SSOR-PCG, {(nx - 1) ** 2:,} rows", one, peer, peer_name="scipy cg", repeats=15),
            compare(
                f"steps of {steps} heat systems at 20 omegas, {(nx - 1) ** 2:,} rows", batch, loop,
                peer_name="scipy cg in a loop", repeats=3,
            ),
        ]  # fmt: skip
    return results


def learners() -> list[Result]:
    """Microseconds a round of choosing and learning, while systems of three sizes are solved."""
    results = []
    make: dict[str, Callable[[], TsallisINF | ChebCB]] = {
        "Tsallis-INF": lambda: TsallisINF(ARMS, 0),
        "ChebCB": lambda: ChebCB(ARMS, (-0.15, 0.65), rng=0),
    }
    for name, learner in make.items():
        spent, alone, solved = [], [], []
        for size in SIZES:
            tuner, rng, own, solves, seen = learner(), np.random.default_rng(0), [], [], []
            for _ in range(150):
                c = float(rng.uniform(0.1, 0.45))
                start = time.perf_counter()
                omega = tuner.choose(c)
                middle = time.perf_counter()
                cost = sor(Stencil5(size, c), rng.standard_normal(size**2), omega).iterations
                end = time.perf_counter()
                tuner.update(cost)
                own.append(middle - start + time.perf_counter() - end)
                solves.append(end - middle)
                seen.append((c, cost))
            spent.append(1e6 * median(own))
            solved.append(1e6 * median(solves))
            alone.append(cpu_seconds(lambda learner=learner, seen=seen: _learn(learner(), seen)))
        words = ", ".join(
            f"{s**2:,} rows: {a:.0f} of {b:,.0f} µs" for s, a, b in zip(SIZES, spent, solved, strict=True)
        )
        results += [
            figure(f"{name}, a round of the learner beside the solve ({words})", max(spent), "µs"),
            figure(f"{name}, learning from costs of 8,100 rows against 100", alone[2] / alone[0], "times", at_most=1.5),
        ]
    return results


def _learn(tuner: TsallisINF | ChebCB, seen: list[tuple[float, int]]) -> None:
    for c, cost in seen:
        tuner.choose(c)
        tuner.update(cost)


def wall_clock() -> list[Result]:
    """A heat simulation solved for real, learning included, against the default omega of 1."""
    nx, steps = 50, 2500
    part = next(heat_steps(nx, steps, 0.002, block=steps))
    systems = [Stencil5(nx - 1, float(c)).matrix() for c in part.shifts]

    def run(learned: bool) -> None:
        tuner = ChebCB(ARMS, (0.0, 10.0), rng=0)
        for A, b, x0, seen in zip(systems, part.rhs, part.starts, part.diffusion, strict=True):
            omega = tuner.choose(float(seen)) if learned else 1.0
            cost = ssor_pcg(A, b, omega, x0).iterations
            if learned:
                tuner.update(cost)

    name = f"{steps:,} steps of the heat equation, {(nx - 1) ** 2:,} rows, omega by ChebCB"
    return [compare(name, lambda: run(True), lambda: run(False), peer_name="omega = 1", repeats=1)]


def main() -> list[Result]:
    """Check, time and compare.

    Returns:
        One result a comparison.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyamg imports parts of SciPy that are on their way out
        return [*tables(), *conjugate_gradients(), *learners(), *wall_clock()]


if __name__ == "__main__":
    main()
