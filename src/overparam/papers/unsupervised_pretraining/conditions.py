"""Labels that the latent variable says nothing about: pretraining cannot help, supervised learning can."""

from __future__ import annotations

import numpy as np

from overparam.errors import BadInput
from overparam.methods.theory.contrastive import ContrastiveMLE
from overparam.methods.theory.factor_model import FactorMLE
from overparam.methods.theory.spherical_mixture import SphericalGMM
from overparam.methods.theory.two_phase import MajorityHead, TwoPhase
from overparam.papers.unsupervised_pretraining.worlds import (
    NOISE,
    Array,
    factor_world,
    minimum_norm,
    mixture_world,
    on_span,
    pair_world,
    zero_one_excess,
)


def lost(case: str, n: int, seed: int) -> tuple[float, float]:
    """Return the share of the gain over a constant prediction that two-phase and supervised learning miss."""
    rng = np.random.default_rng((10, seed))
    if case == "mixture":
        return _mixture(n, seed, rng)
    if case == "factor":
        model = factor_world(30, 3, seed)
        basis = FactorMLE(3).fit_covariance(model.sample_covariance(20_000, rng)).basis_
        direction, x = _outside(model.loadings, rng), model.sample(n, rng)[0]
    elif case == "pairs":
        world = pair_world(30, 3, seed)
        basis = np.linalg.qr(ContrastiveMLE(3, seed=seed).fit(*world.pairs(8_000, rng)).theta_.T)[0]
        direction, x = _outside(world.theta.T, rng), rng.standard_normal((n, 30))
    else:
        raise BadInput(f"case={case!r} is unknown; give 'factor', 'mixture' or 'pairs'")
    y = x @ direction + NOISE * rng.standard_normal(n)
    covariance = model.covariance if case == "factor" else np.eye(30)
    scale = float(direction @ covariance @ direction)

    def share(weight: Array) -> float:
        gap = weight - direction
        return float(gap @ covariance @ gap) / scale

    return share(on_span(basis, x, y)), share(minimum_norm(x, y))


def _outside(columns: Array, rng: np.random.Generator) -> Array:
    """Return a unit vector that is orthogonal to all columns."""
    v = rng.standard_normal(len(columns))
    v -= columns @ np.linalg.lstsq(columns, v, rcond=None)[0]
    found: Array = v / np.linalg.norm(v)
    return found


def _mixture(n: int, seed: int, rng: np.random.Generator) -> tuple[float, float]:
    """Labels tell on which side of its centre an input lies, along an axis that no centre uses."""
    from sklearn.linear_model import LogisticRegression

    world = mixture_world(30, 8, seed)
    world.centres[:, 0] = 0.0
    unlabelled, x, test = (world.sample(size, rng)[0] for size in (4_000, n, 4_000))
    y = np.where(rng.random(n) < 0.9, x[:, 0] > 0, x[:, 0] <= 0).astype(np.int64)
    chance = np.where(test[:, 0] > 0, 0.9, 0.1)
    routes = (
        TwoPhase(SphericalGMM(8, seed=seed), MajorityHead()).fit(x, y, X_unlabelled=unlabelled),
        LogisticRegression(max_iter=1_000).fit(x, y),
    )
    constant = zero_one_excess(chance, np.ones(len(test), dtype=np.int64))
    first, second = (zero_one_excess(chance, route.predict(test)) / constant for route in routes)
    return first, second
