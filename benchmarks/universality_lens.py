"""Universality lens: grouped mixtures against plain Bayes, Langevin steps against SGD, many chains against one."""

from __future__ import annotations

import numpy as np
import torch
from harness import Result, compare, figure
from scipy.special import logsumexp

from overparam.methods.theory.truth_tables import TruthTableMixture, all_inputs
from overparam.methods.training.posterior import sample_posterior
from overparam.methods.training.sgld import SGLD


def _mixtures() -> list[Result]:
    results = []
    for draws in (10_000, 100_000, 400_000):
        generator = torch.Generator().manual_seed(0)
        mixture = TruthTableMixture.of_networks([8], bits=5, draws=draws, noise=0.1, generator=generator)
        counts_of = np.rint(np.exp(mixture.log_prior) * draws).astype(int)
        each = np.repeat(mixture.tables, counts_of, axis=0)  # one row a network
        target, rng, n = all_inputs(5)[:, 0] > 0, np.random.default_rng(0), 200
        x = rng.integers(32, size=n)
        y = target[x] ^ (rng.random(n) < 0.1)
        counts = np.stack([np.bincount(x[~y], minlength=32), np.bincount(x[y], minlength=32)])[:, :, None]

        def plain(each: np.ndarray = each, x: np.ndarray = x, y: np.ndarray = y, n: int = n) -> float:
            log_weight = np.full(len(each), -np.log(len(each)))
            for t in range(n):
                log_weight = log_weight + np.where(each[:, x[t]] == y[t], np.log(0.9), np.log(0.1))
            return float(logsumexp(log_weight))

        def grouped(mixture: TruthTableMixture = mixture, counts: np.ndarray = counts) -> float:
            return float(logsumexp(mixture.log_prior[:, None] + mixture.log_likelihood(counts), axis=0)[0])

        assert abs(plain() - grouped()) < 1e-6
        name = f"log marginal of 200 examples, {draws:,} networks"
        results.append(
            compare(name, grouped, plain, peer_name="one by one", repeats=5, target=50 if draws == 100_000 else None)
        )
    return results


def _steps() -> list[Result]:
    results = []
    for width in (64, 256, 1_024):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(64, width), torch.nn.Tanh(), torch.nn.Linear(width, 10))
        x, y = torch.randn(128, 64), torch.randint(10, (128,))
        langevin = SGLD(model.parameters(), lr=1e-7, num_data=1_000, generator=torch.Generator().manual_seed(0))
        plain = torch.optim.SGD(model.parameters(), lr=1e-7)

        def train(optimiser: torch.optim.Optimizer, model: torch.nn.Module = model, x=x, y=y) -> None:
            for _ in range(20):
                optimiser.zero_grad()
                torch.nn.functional.cross_entropy(model(x), y).backward()
                optimiser.step()

        name = f"20 Langevin steps, width {width:,}, batch 128"
        results.append(
            compare(
                name, lambda f=train, o=langevin: f(o), lambda f=train, o=plain: f(o), peer_name="SGD", target=1 / 1.3
            )
        )
    return results


def _chains() -> list[Result]:
    results = []
    x, y = torch.randn(100, 64), torch.randint(10, (100,))
    settings = {"lr": 1e-4, "samples": 1, "burn_in": 100, "temperature": 0.0}
    for count in (4, 16, 64):
        torch.manual_seed(0)
        models = [
            torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.Tanh(), torch.nn.Linear(32, 10)) for _ in range(count)
        ]
        together = sample_posterior(models, x, y, **settings).ensemble.samples["0.weight"]
        alone = torch.cat([sample_posterior([m], x, y, **settings).ensemble.samples["0.weight"] for m in models])
        torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-3)
        results.append(
            compare(
                f"{count} chains, 100 steps",
                lambda models=models: sample_posterior(models, x, y, **settings),
                lambda models=models: [sample_posterior([m], x, y, **settings) for m in models],
                peer_name="one by one",
                repeats=3,
            )
        )
    return results


def main() -> list[Result]:
    """Compare, and show how the class grows."""
    torch.set_num_threads(1)
    mixture = TruthTableMixture.of_networks(
        [8], bits=5, draws=100_000, noise=0.1, generator=torch.Generator().manual_seed(0)
    )
    share = 100 * len(mixture.tables) / 100_000
    return [*_mixtures(), figure("different functions among 100,000 networks", share, "%"), *_steps(), *_chains()]
