"""Attention machines side by side with CVXPY and scikit-learn, training with a loop of autograd; growth with size.

Run from the repository root: `python benchmarks/attention_svm.py`. Equal answers are asserted before any timing.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import torch
from harness import Result, compare, growth
from numpy.typing import NDArray

from overparam.methods.theory.attention_svm import Norm, attention_svm
from overparam.methods.theory.attention_training import token_scores, train_attention_batched
from overparam.methods.training.normalized_gd import NormalizedGD
from overparam.models.attention import OneLayerAttention

Array = NDArray[np.float64]
Problem = tuple[Array, Array, NDArray[np.int64]]
EPS = float(np.finfo(np.float64).eps)


def unit_data(r: int, n: int, tokens: int, d: int) -> tuple[Array, Array, Array, Array]:
    """Unit tokens, labels, unit queries and unit heads for r seeds."""
    rng = np.random.default_rng(0)

    def unit(*shape: int) -> Array:
        drawn = rng.normal(size=shape)
        return np.asarray(drawn / np.linalg.norm(drawn, axis=-1, keepdims=True))

    return unit(r, n, tokens, d), rng.choice([-1.0, 1.0], (r, n)), unit(r, n, d), unit(r, d)


def problem(n: int, tokens: int, d: int) -> Problem:
    """One data set with its tokens of highest worth."""
    X, Y, z, v = unit_data(1, n, tokens, d)
    return X[0], z[0], token_scores(X, Y, v).argmax(-1)[0]


def differences(X: Array, z: Array, selected: NDArray[np.int64]) -> tuple[Array, Array]:
    """Selected minus other tokens, and the query of each."""
    own = np.take_along_axis(X, selected[:, None, None], 1)
    others = np.arange(X.shape[1]) != selected[:, None]
    return (own - X)[others], z[np.nonzero(others)[0]]


def by_cvxpy(given: Problem, norm: Norm, solver: str) -> Array:
    """W by CVXPY, all constraints in one expression: faster than one by one, as the official code writes them."""
    import cvxpy

    left, right = differences(*given)
    W = cvxpy.Variable((left.shape[1], right.shape[1]))
    margins = cvxpy.sum(cvxpy.multiply(left @ W, right), axis=1)
    cvxpy.Problem(cvxpy.Minimize(cvxpy.norm(W, norm)), [margins >= 1]).solve(solver=solver)
    return np.asarray(W.value)


def by_sklearn(given: Problem) -> Array:
    """W by a kernel machine on the differences and their negatives, with a large C."""
    from sklearn.svm import SVC

    left, right = differences(*given)
    gram = (left @ left.T) * (right @ right.T)
    m = len(gram)
    signs = np.repeat([1.0, -1.0], m)
    peer = SVC(C=1e8, kernel="precomputed", tol=1e-7).fit(np.kron([[1, -1], [-1, 1]], gram), signs)
    u = np.zeros(2 * m)
    u[peer.support_] = peer.dual_coef_[0]
    return (left * (u[:m] - u[m:])[:, None]).T @ right


def machines() -> list[Result]:
    """Both norms against CVXPY at three widths, and Frobenius against scikit-learn."""
    results = []
    for norm, widths in (("fro", (10, 20, 40)), ("nuc", (10, 15, 20))):
        for d in widths:
            given = problem(6, 8, d)
            kind: Norm = norm  # type: ignore[assignment]
            ours = attention_svm(*given, norm=kind)
            assert ours.gap <= 1e-8
            for solver, near in (("CLARABEL", 1e-6), ("SCS", 1e-3)):
                if norm == "fro" and solver == "SCS":
                    continue
                value = np.linalg.norm(by_cvxpy(given, kind, solver), kind)
                assert abs(value / ours.value - 1) < near, (norm, d, solver, value, ours.value)
                results.append(
                    compare(
                        f"{norm}, 6 sequences of 8 tokens, d = {d}",
                        lambda given=given, kind=kind: attention_svm(*given, norm=kind),
                        lambda given=given, kind=kind, solver=solver: by_cvxpy(given, kind, solver),
                        peer_name=f"CVXPY with {solver}",
                        target=5.0 if solver == "CLARABEL" else None,
                    )
                )
    for n in (6, 20, 40):
        given = problem(n, 8, 20 if n < 40 else 40)
        ours_w = attention_svm(*given).W
        np.testing.assert_allclose(by_sklearn(given), ours_w, atol=1e-3 * np.abs(ours_w).max())
        results.append(
            compare(
                f"fro, {n} sequences of 8 tokens, d = {given[0].shape[2]}",
                lambda given=given: attention_svm(*given),
                lambda given=given: by_sklearn(given),
                peer_name="SVC on differences",
            )
        )
    return results


def by_autograd(data: tuple[Array, Array, Array, Array], factored: bool, steps: int, seeds: range) -> list[Array]:
    """The official way: a loop over seeds, autograd in each step."""
    found = []
    for seed in seeds:
        x, y, z, v = (torch.from_numpy(part[seed]) for part in data)
        d = x.shape[-1]
        layer = OneLayerAttention(d, factored=factored, head=v, dtype=torch.float64)
        rng = np.random.default_rng([seed, d])
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.copy_(torch.from_numpy(rng.uniform(-(d**-0.5), d**-0.5, (d, d))))
        eps, decay = (EPS, 2 * EPS) if factored else (0.0, 0.0)
        optimiser = NormalizedGD(layer.parameters(), lr=0.1, eps=eps, decay=decay)
        for _ in range(steps):
            optimiser.zero_grad()
            torch.nn.functional.softplus(-y * layer(x, z)).mean().backward()
            optimiser.step()
        found.append(layer.W.detach().numpy())
    return found


def training() -> list[Result]:
    """All seeds in one program against the loop."""
    results = []
    steps = 60
    for r in (25, 100, 200):
        data = unit_data(r, 6, 8, 10)
        for factored in (False, True) if r == 100 else (False,):
            ours = train_attention_batched(*data, factored=factored, steps=steps).weights
            np.testing.assert_allclose(np.stack(by_autograd(data, factored, steps, range(5))), ours[:5], atol=1e-8)
            results.append(
                compare(
                    f"{'KQ' if factored else 'W'}, {r} seeds, {steps} steps, 6 sequences of 8 tokens, d = 10",
                    lambda data=data, factored=factored: train_attention_batched(*data, factored=factored, steps=steps),
                    lambda data=data, factored=factored, r=r: by_autograd(data, factored, steps, range(r)),
                    peer_name="autograd in a loop",
                    repeats=3,
                    target=20.0,
                )
            )
    return results


def doublings() -> list[Result]:
    """CPU time when a size doubles: 2 is linear, 8 is cubic."""

    def machine(norm: Norm, n: int, tokens: int, d: int) -> Callable[[], object]:
        given = problem(n, tokens, d)
        return lambda: attention_svm(*given, norm=norm)

    def training_of(r: int) -> Callable[[], object]:
        data = unit_data(r, 6, 8, 10)
        return lambda: train_attention_batched(*data, steps=200)

    cases = (
        ("fro, width", lambda d: machine("fro", 10, 8, d), (64, 128, 256), 4.0),
        ("nuc, width", lambda d: machine("nuc", 10, 8, d), (32, 64, 128), 8.0),
        ("fro, tokens", lambda t: machine("fro", 10, t, 64), (64, 128, 256), 4.0),
        ("nuc, tokens", lambda t: machine("nuc", 10, t, 64), (32, 64, 128), 8.0),
        ("training, seeds", training_of, (100, 200, 400), 2.5),
    )
    return [growth(name, {n: make(n) for n in sizes}, at_most=most) for name, make, sizes, most in cases]


def main() -> list[Result]:
    """Check, time and compare.

    Returns:
        One result a comparison.
    """
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # CVXPY announces its defaults
        return [*machines(), *training(), *doublings()]


if __name__ == "__main__":
    main()
