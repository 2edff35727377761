"""The theory of random features side by side with nested bisection, ridge paths with scikit-learn, kernels with JAX.

Run from the repository root: `python benchmarks/random_features.py`. Equal numbers are asserted before any timing.
Kernels against neural-tangents need JAX: name the interpreter of an environment that has it in OVERPARAM_JAX.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from harness import Result, compare, figure
from numpy.typing import NDArray
from sklearn.kernel_ridge import KernelRidge

from overparam.methods.theory.conv_kernels import conv_ntk
from overparam.methods.theory.eigenstructure import eigenstructure
from overparam.methods.theory.kernels import arccos_nngp, fc_ntk
from overparam.methods.theory.random_features import optimal_ridge, rf_risk
from overparam.methods.theory.ridge_path import kernel_ridge_path

Array = NDArray[np.float64]
PEER = """
import functools, os, sys
os.sched_setaffinity(0, {0})  # one core, whatever XLA makes of its flags
import jax, numpy as np
jax.config.update("jax_enable_x64", True)
from neural_tangents import stax
folder = sys.argv[1]
dense = [stax.Dense(1, 1.0, 0.0), stax.Relu()] * 2 + [stax.Dense(1, 1.0, 0.0)]
conv = functools.partial(stax.Conv, 1, (3, 3), W_std=1.0, b_std=0.0, padding="SAME")
block, pool = [conv(), stax.Relu()], [stax.AvgPool((2, 2), strides=(2, 2))]
myrtle = block * 2 + pool + block + pool + block + [stax.GlobalAvgPool(), stax.Dense(1, 1.0, 0.0)]
kernels = {n: jax.jit(stax.serial(*l)[2], static_argnames="get") for n, l in (("fc", dense), ("conv", myrtle))}
held = {n: np.load(f"{folder}/{n}.npy") for n in kernels}
print("ready", flush=True)
for line in sys.stdin:
    name, keep = line.split()
    found = kernels[name](held[name], held[name], get="ntk").block_until_ready()
    if keep == "1":
        np.save(f"{folder}/{name}_kernel.npy", np.asarray(found))
    print("done", flush=True)
"""


def nested_bisection(lam: Array, v2: Array, n: float, k: float, ridge: float, noise: float) -> tuple[float, float]:
    """Test and train error by the printed formulas, kappa bisected inside a bisection of gamma, 100 steps each."""

    def gamma_of(kappa: float) -> float:
        low, high = np.log(kappa), np.log(kappa + lam.sum())
        for _ in range(100):
            middle = (low + high) / 2
            gamma = np.exp(middle)
            low, high = (middle, high) if (lam / (lam + gamma)).sum() + k * kappa / gamma > k else (low, middle)
        return float(np.exp((low + high) / 2))

    low, high = np.log(ridge / n), np.log((lam.sum() + ridge) / n * 100)
    for _ in range(100):
        middle = (low + high) / 2
        gamma = gamma_of(np.exp(middle))
        low, high = (middle, high) if (lam / (lam + gamma)).sum() + ridge / np.exp(middle) > n else (low, middle)
    kappa = float(np.exp((low + high) / 2))
    gamma = gamma_of(kappa)
    share = lam / (lam + gamma)
    z, q = share.sum(), (share**2).sum()
    modes = (1 - share - kappa * lam / (lam + gamma) ** 2 * k / (k - q)) @ v2
    test = (modes + noise) / (1 - (q * (k - 2 * z) + z**2) / (n * (k - q)))
    return float(test), float((ridge / (n * kappa)) ** 2 * test)


def spectrum(modes: int) -> tuple[Array, Array]:
    """A power law."""
    index = np.arange(1, modes + 1, dtype=np.float64)
    return index**-1.5, index**-1.5


def seconds(function: Callable[[], object], repeats: int = 5) -> float:
    """Median time after one warm-up."""
    function()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        taken.append(time.perf_counter() - start)
    return sorted(taken)[repeats // 2]


def theory() -> list[Result]:
    """The solver against nested bisection, and its growth with the spectrum."""
    lam, v2 = spectrum(10_000)
    for n, k, ridge in ((100, 400, 0.1), (300, 100, 1e-3), (1000, 1000, 0.1)):
        mine, theirs = rf_risk(lam, v2, n, k, ridge, 0.1), nested_bisection(lam, v2, n, k, ridge, 0.1)
        np.testing.assert_allclose((mine.test, mine.train), theirs, rtol=1e-7)
    results = [
        compare(
            "one prediction, 10,000 eigenvalues", lambda: rf_risk(lam, v2, 100, 400, 0.1, 0.1),
            lambda: nested_bisection(lam, v2, 100, 400, 0.1, 0.1), peer_name="nested bisection", repeats=5, target=10,
        )
    ]  # fmt: skip
    for modes in (1_000, 10_000, 100_000):
        lam, v2 = spectrum(modes)
        once = seconds(lambda lam=lam, v2=v2: rf_risk(lam, v2, 100, 400, 0.1, 0.1)) * 1e3
        results.append(
            figure(f"one prediction, {modes:,} eigenvalues", once, "ms", at_most=50 if modes == 10_000 else None)
        )
        best = seconds(lambda lam=lam, v2=v2: optimal_ridge(lam, v2, 100, 400, 0.1), 3) * 1e3
        results.append(figure(f"best ridge, {modes:,} eigenvalues", best, "ms"))
    return results


def ridges() -> list[Result]:
    """Fifty ridges from one decomposition, against fifty fits."""
    rng, path = np.random.default_rng(0), np.geomspace(1e-3, 1e2, 50)
    results = []
    for n in (250, 500, 1000):
        x, z = rng.standard_normal((n, 50)), rng.standard_normal((500, 50))
        K, across = arccos_nngp(x, x), arccos_nngp(z, x)
        y, wanted = rng.standard_normal((n, 10)), rng.standard_normal((500, 10))

        def loop(K: Array = K, across: Array = across, y: Array = y, wanted: Array = wanted) -> Array:
            models = (KernelRidge(alpha=r, kernel="precomputed").fit(K, y) for r in path)
            return np.array([((m.predict(across) - wanted) ** 2).sum(1).mean() for m in models])

        def ours(K: Array = K, across: Array = across, y: Array = y, wanted: Array = wanted) -> Array:
            return kernel_ridge_path(K, y, across, wanted, path).test

        np.testing.assert_allclose(ours(), loop(), rtol=1e-7)
        target = 3 if n == 1000 else None
        results.append(
            compare(
                f"50 ridges, n = {n}", ours, loop, peer_name="KernelRidge", repeats=3 if n == 1000 else 5, target=target
            )
        )
        once = seconds(lambda K=K, y=y: eigenstructure(K, y), 3) * 1e3
        results.append(figure(f"eigenstructure, n = {n}", once, "ms"))
    return results


def kernels() -> list[Result]:
    """Entries a second at three sizes, and neural-tangents on one core in a process of its own."""
    rng, results = np.random.default_rng(0), []
    for n in (500, 1000, 2000):
        x = rng.standard_normal((n, 784))
        rate = n * n / seconds(lambda x=x: fc_ntk(x, x, 2), 3) / 1e6
        results.append(figure(f"tangent kernel of two layers, n = {n}", rate, "million entries a second"))
    for side in (8, 16, 32):
        images = rng.standard_normal((4, 3, side, side))
        rate = 16 / seconds(lambda images=images: conv_ntk(images, images), 3)
        results.append(figure(f"Myrtle-5 kernel, {side} x {side} pixels", rate, "entries a second"))
    interpreter = os.environ.get("OVERPARAM_JAX")
    if not interpreter:
        print("neural-tangents left out: OVERPARAM_JAX names no interpreter that has it", flush=True)
        return results
    points, images = rng.standard_normal((1000, 784)), rng.standard_normal((16, 3, 16, 16))
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/fc.npy", points)
        np.save(f"{folder}/conv.npy", images.transpose(0, 2, 3, 1))
        flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        environment = {**os.environ, "XLA_FLAGS": flags, "OMP_NUM_THREADS": "1"}
        with subprocess.Popen(
            [interpreter, "-c", PEER, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, env=environment,
        ) as peer:  # fmt: skip
            assert peer.stdin
            assert peer.stdout
            assert peer.stdout.readline() == "ready\n"

            def ask(name: str, keep: bool = False) -> None:
                peer.stdin.write(f"{name} {int(keep)}\n")
                peer.stdin.flush()
                assert peer.stdout.readline() == "done\n"

            ours = {"fc": lambda: fc_ntk(points, points, 2), "conv": lambda: conv_ntk(images, images)}
            names = {"fc": "tangent kernel of two layers, n = 1,000", "conv": "Myrtle-5 kernel, 16 images of 16 x 16"}
            for name, function in ours.items():
                ask(name, keep=True)
                theirs = np.load(Path(folder) / f"{name}_kernel.npy")
                np.testing.assert_allclose(function(), theirs, rtol=1e-6)
                results.append(
                    compare(names[name], function, lambda name=name: ask(name), peer_name="neural-tangents", target=1.0)
                )
            peer.stdin.close()
    return results


def main() -> list[Result]:
    """Run all, on one thread.

    Returns:
        Rows of the table.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return theory() + ridges() + kernels()
    finally:
        torch.set_num_threads(threads)


if __name__ == "__main__":
    main()
    sys.exit(0)
