"""Gradient flow and its theory side by side with plain descent, scikit-learn and scikit-rmt, and growth with size.

Run from the repository root: `python benchmarks/generalization_dynamics.py`. Equal numbers are asserted before timing.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from harness import Result, compare, growth
from numpy.typing import NDArray

from overparam.methods.theory.gradient_flow import SpectralFit, gradient_flow, largest_step
from overparam.methods.theory.linear_dynamics import generalization_error
from overparam.methods.theory.linear_teacher import LinearTeacher
from overparam.methods.theory.marchenko_pastur import Spectrum

Array = NDArray[np.float64]
SIZES = (100, 200, 400)
TIMES = np.geomspace(0.1, 1000.0, 100)


def drawn(inputs: int, alpha: float = 0.5, seed: int = 0) -> tuple[Array, Array, Array]:
    """Features, targets and teacher."""
    sample = LinearTeacher(inputs, alpha, snr=5.0).sample(seed)
    return sample.features, sample.targets[:, 0], sample.teacher[:, 0]


def descent(h: Array, y: Array, lr: float, times: Array) -> Array:
    """Plain gradient descent in NumPy, weights kept at the steps nearest to the times."""
    at = np.round(times / lr).astype(int)
    w, found, step = np.zeros(h.shape[1]), np.empty((len(times), h.shape[1])), 0
    for k, wanted in enumerate(at):
        while step < wanted:
            w -= lr * (h.T @ (h @ w - y))
            step += 1
        found[k] = w
    return found


def linear_layer(h: Array, y: Array, lr: float, times: Array) -> Array:
    """The same with torch: `nn.Linear`, `MSELoss` and SGD."""
    layer = torch.nn.Linear(h.shape[1], 1, bias=False, dtype=torch.float64)
    torch.nn.init.zeros_(layer.weight)
    x, target = torch.from_numpy(h), torch.from_numpy(y)
    optimiser, loss = torch.optim.SGD(layer.parameters(), lr=lr * len(y) / 2), torch.nn.MSELoss()
    found, step = [], 0
    for wanted in np.round(times / lr).astype(int):
        while step < wanted:
            optimiser.zero_grad()
            loss(layer(x)[:, 0], target).backward()
            optimiser.step()
            step += 1
        found.append(layer.weight.detach().numpy()[0].copy())
    return np.stack(found)


def flows() -> list[Result]:
    """All times of flow against descent whose steps are short enough to stay within 3 % of it."""
    results = []
    for n in SIZES:
        h, y, _ = drawn(n)
        lr = 0.02 * largest_step(h)
        for peer, name, last in ((descent, "descent in NumPy", 1000.0), (linear_layer, "nn.Linear and SGD", 30.0)):
            times = np.geomspace(0.1, last, 100)
            found, rounded = peer(h, y, lr, times), gradient_flow(h, y, 0.0, np.round(times / lr) * lr)
            assert (np.linalg.norm(found - rounded, axis=1) < 0.03 * np.linalg.norm(rounded, axis=1)).all()
            results.append(
                compare(
                    f"gradient flow at 100 times to {last:,.0f}, {n // 2} samples of {n} inputs",
                    lambda h=h, y=y, times=times: gradient_flow(h, y, 0.0, times),
                    lambda peer=peer, h=h, y=y, lr=lr, times=times: peer(h, y, lr, times),
                    peer_name=name,
                    repeats=3,
                    target=20.0,
                )
            )
    return results


def ridges() -> list[Result]:
    """A path of 50 penalties against one fit of scikit-learn each."""
    from sklearn.linear_model import Ridge

    penalties, results = np.geomspace(1e-2, 1e2, 50), []
    for n in SIZES:
        h, y, _ = drawn(n)

        def ours(h: Array = h, y: Array = y) -> Array:
            fit = SpectralFit(h, y)
            return fit.weights(fit.ridge(penalties))

        def peer(h: Array = h, y: Array = y) -> Array:
            return np.stack([Ridge(alpha=a, fit_intercept=False).fit(h, y).coef_ for a in penalties])

        np.testing.assert_allclose(ours(), peer(), atol=1e-8)
        name = f"ridge path of 50 penalties, {n // 2} samples of {n} inputs"
        results.append(compare(name, ours, peer, peer_name="Ridge, one fit each", repeats=7, target=1.0))
    return results


def exact_stop(h: Array, y: Array) -> Array:
    """Hold out a fifth, stop the flow where its error there is least."""
    cut = len(h) * 4 // 5
    fit = SpectralFit(h[:cut], y[:cut])
    filters = fit.flow(TIMES)
    best = int(((fit.predict(h[cut:], filters) - y[cut:]) ** 2).mean(1).argmin())
    return fit.weights(filters[best : best + 1])[0]


def sgd_stop(h: Array, y: Array) -> Array:
    """The same share held out by scikit-learn's stochastic descent."""
    from sklearn.linear_model import SGDRegressor

    model = SGDRegressor(
        penalty=None, fit_intercept=False, learning_rate="constant", eta0=0.02, early_stopping=True,
        validation_fraction=0.2, n_iter_no_change=10, tol=1e-4, max_iter=5000, random_state=0,
    )  # fmt: skip
    return np.asarray(model.fit(h, y).coef_)


def stops() -> list[Result]:
    """Early stopping on held-out samples; over 20 data sets ours must not end with a larger error."""
    results = []
    for n in SIZES:
        data = [drawn(n, alpha=2.0, seed=seed) for seed in range(20)]
        errors = [float(np.mean([((f(h, y) - w) ** 2).mean() for h, y, w in data])) for f in (exact_stop, sgd_stop)]
        assert errors[0] < 1.05 * errors[1], errors
        h, y, _ = data[0]
        results.append(
            compare(
                f"early stopping, {2 * n} samples of {n} inputs, mean squared errors {errors[0]:.3f}, {errors[1]:.3f}",
                lambda h=h, y=y: exact_stop(h, y),
                lambda h=h, y=y: sgd_stop(h, y),
                peer_name="SGDRegressor",
                repeats=5,
                target=1.0,
            )
        )
    return results


def theory() -> list[Result]:
    """The error at 200 times against the density of scikit-rmt on a grid, as fine as 2e-5 needs."""
    import scipy.misc

    scipy.misc.derivative = None  # scikit-rmt asks for it at import, SciPy no longer has it
    from skrmt.ensemble.spectral_law import MarchenkoPasturDistribution

    times, results = np.geomspace(0.1, 100.0, 200), []
    for alpha, points in ((1.5, 40_001), (2.0, 10_001), (4.0, 5_001)):

        def ours(alpha: float = alpha) -> Array:
            return generalization_error(times, alpha, 5.0)

        def peer(alpha: float = alpha, points: int = points) -> Array:
            law = MarchenkoPasturDistribution(ratio=1 / alpha, sigma=alpha**0.5)
            grid = np.linspace(law.lambda_minus, law.lambda_plus, points)
            weights = law.pdf(grid) * (grid[1] - grid[0])
            return generalization_error(times, alpha, 5.0, spectrum=Spectrum(grid, weights, 0.0))

        np.testing.assert_allclose(ours(), peer(), rtol=2e-5)
        name = f"test error at 200 times, alpha {alpha:g}"
        results.append(compare(name, ours, peer, peer_name="scikit-rmt on a grid", repeats=7, target=5.0))
    return results


def doublings() -> list[Result]:
    """CPU time when samples and inputs double: a decomposition has 8."""
    data = [drawn(n, alpha=1.0) for n in (300, 600, 1200)]
    calls = {len(h): lambda h=h, y=y: gradient_flow(h, y, 0.0, TIMES) for h, y, _ in data}
    return [growth("flow, samples and inputs", calls, at_most=9)]


def main() -> list[Result]:
    """Check, time and compare.

    Returns:
        One result a comparison.
    """
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy.misc is deprecated
        return [*flows(), *ridges(), *stops(), *theory(), *doublings()]


if __name__ == "__main__":
    main()
