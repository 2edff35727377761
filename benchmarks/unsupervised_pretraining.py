"""Unsupervised pretraining: closed form and own EM against scikit-learn, drawn covariances against drawn inputs."""

from __future__ import annotations

import numpy as np
from harness import Result, compare, figure
from sklearn.decomposition import FactorAnalysis
from sklearn.mixture import GaussianMixture

from overparam.methods.theory.factor_model import FactorMLE, FactorModel
from overparam.methods.theory.pretraining_plan import PretrainingPlan
from overparam.methods.theory.spherical_mixture import SphericalGMM


def _world(d: int) -> FactorModel:
    rng = np.random.default_rng(d)
    return FactorModel(rng.standard_normal((d, 3)) * np.sqrt(8 / d), [0.6, 0.6, 0.5], noise=0.5)


def _factors() -> list[Result]:
    results = []
    for d in (50, 200, 400):
        x, _ = _world(d).sample(5_000, np.random.default_rng(0))
        ours, peer = FactorMLE(3, "isotropic").fit(x), FactorAnalysis(3).fit(x)
        assert ours.log_likelihood(x) > peer.score(x) - 0.02 * d  # the peer has a noise variance for every input
        angle = np.linalg.svd(ours.basis_.T @ np.linalg.qr(peer.components_.T)[0])[1]
        assert angle.min() > 0.99  # the same subspace
        results.append(
            compare(
                f"3 factors of 5,000 inputs of {d} dimensions",
                lambda x=x: FactorMLE(3, "isotropic").fit(x),
                lambda x=x: FactorAnalysis(3).fit(x),
                peer_name="FactorAnalysis",
                repeats=5,
                target=10 if d == 200 else None,
            )
        )
    return results


def _mixtures() -> list[Result]:
    results = []
    for m in (500, 2_000, 8_000):
        rng = np.random.default_rng(m)
        centres = rng.standard_normal((8, 50)) * 0.8
        x = centres[rng.integers(8, size=m)] + rng.standard_normal((m, 50))
        peer = GaussianMixture(
            8, covariance_type="spherical", n_init=5, init_params="k-means++", tol=1e-6, max_iter=200
        )
        gap = SphericalGMM(8).fit(x).log_likelihood(x) - peer.set_params(random_state=0).fit(x).score(x)
        assert gap > -8 * 2 / m - 1e-3, gap  # the peer also fits 8 variances and 7 weights
        results.append(
            compare(
                f"mixture of 8, {m:,} inputs of 50 dimensions, 5 starts",
                lambda x=x: SphericalGMM(8).fit(x),
                lambda x=x, peer=peer: peer.fit(x),
                peer_name="GaussianMixture",
                repeats=3,
            )
        )
    return results


def _covariances() -> list[Result]:
    results = []
    for m in (1_000, 10_000, 100_000):
        world, rng = _world(50), np.random.default_rng(0)

        def drawn(m: int = m, world: FactorModel = world, rng: np.random.Generator = rng) -> np.ndarray:
            x, _ = world.sample(m, rng)
            return x.T @ x / m

        results.append(
            compare(
                f"covariance of {m:,} inputs of 50 dimensions",
                lambda m=m, world=world, rng=rng: world.sample_covariance(m, rng),
                drawn,
                peer_name="draw the inputs",
            )
        )
    return results


def _backwards() -> Result:
    """Ask the closed form for the labels needed; in simulation they suffice, and one fifth less do not."""
    world = _world(50)
    plan = PretrainingPlan.of(world)
    n = int(plan.labelled_needed(0.02, m=2_000))
    rng = np.random.default_rng(1)

    def mean_excess(labels: int) -> float:
        found = []
        for _ in range(400):
            basis = FactorMLE(3).fit_covariance(world.sample_covariance(2_000, rng)).basis_
            x, y = world.sample(labels, rng)
            found.append(float(world.excess(basis @ np.linalg.lstsq(x @ basis, y, rcond=None)[0])))
        return float(np.mean(found))

    assert mean_excess(int(0.8 * n)) > 0.02
    return figure(f"excess with the {n} labels that the plan asks for, target 0.02", mean_excess(n), "", at_most=0.0215)


def main() -> list[Result]:
    """Compare at three sizes each."""
    return [*_factors(), *_mixtures(), *_covariances(), _backwards()]
