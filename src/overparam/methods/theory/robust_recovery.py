"""Sub-gradient descent on the absolute loss of U U', from a small start, with steps that shrink geometrically.

From Ma and Fattahi, Global Convergence of Sub-gradient Method for Robust Matrix Recovery (arXiv 2202.08788).

Departures: 1. the two step rules and the spectral start have the paper's form, with constants of our own. 2. The decay
that `auto_rho` chooses, and its reading of the condition of the matrix from the spectral start, are ours; the paper
takes the constants as given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from overparam.errors import BadInput, Diverged
from overparam.methods.theory.symmetric_sensing import SymmetricSensing

Array = NDArray[np.float64]
Step = Literal["geometric", "polyak"] | Callable[[int], float]
SAFETY = 3.0  # a budget of 2 is about enough
CHECK_EVERY = 50
SMALLEST = 1e-100  # of the start: its square has to be a number


@dataclass(frozen=True)
class Trajectory:
    """What the descent did; s runs, t recorded steps.

    Attributes:
        steps: (t,), the recorded steps.
        err: (s, t), Frobenius distance of U U' to the target; NaN without one.
        loss: (s, t), mean absolute error.
        signal_norm: (s, t), norm of the part of U in the range of the target; NaN without one.
        residual_norm: (s, t), norm of the rest of U.
        U: (s, d, w), the last factors; narrower runs have zero columns.
        last_step: (s,), the last step size: errors of about this size come from the schedule, not from the data.
        effective_width: (s,), columns of U that are not zero. A spectral start leaves out negative eigenvalues.
        converged: (s,), whether a run ended on a zero subgradient; the size of the steps is no convergence.
    """

    steps: NDArray[np.int64]
    err: Array
    loss: Array
    signal_norm: Array
    residual_norm: Array
    U: Array
    last_step: Array
    effective_width: NDArray[np.int64]
    converged: NDArray[np.bool_]


def subgm(
    problem: SymmetricSensing,
    width: int | Sequence[int],
    *,
    init_scale: float | Sequence[float],
    steps: int,
    step: Step = "geometric",
    eta0: float = 0.2,
    rho: float | Sequence[float] | Literal["auto"] = "auto",
    init: Literal["spectral", "random"] = "spectral",
    loss: Literal["absolute", "squared"] = "absolute",
    seeds: int | Sequence[int] = 0,
    records: int = 400,
) -> Trajectory:
    """Descend: U <- U - eta_t Q(U) U with Q(U) = (1/m) sum_i sign(<A_i, U U'> - y_i) (A_i + A_i') / 2.

    `geometric` takes eta_t = eta0 rho^t / ||Q||, for measurements with errors; `polyak` takes eta_t = eta0 (pi/2) f(U)
    with the loss f, for exact ones; a function of t gives eta_t ||Q||. Geometric steps are relative to U and have no
    unit; for Polyak's, eta0 has to stay below one over the largest eigenvalue of the matrix.

    Several widths, scales, decays or seeds make several runs on the same measurements, in one matrix product: lists
    have to be of one length, single values go to all runs. A step of s runs costs O(s m d^2 + s d^2 w).

    Args:
        problem: Measurements.
        width: Columns of U, 1 to d.
        init_scale: alpha. The start is alpha V S^(1/2) for the leading non-negative eigenvalues S of
            (1/m) sum_i sign(y_i) (A_i + A_i') / 2, or alpha times N(0, 1/d). Both have no unit: see `rescaled`.
        steps: At least 1.
        step: Rule for the size of steps.
        eta0: First step, positive.
        rho: Decay of geometric steps, 0 < rho <= 1; `auto` asks `auto_rho` with the ratio seen by `spectral_ratio`.
        init: Which start.
        loss: `squared` puts residuals in the place of their signs: what gross errors break, for comparison.
        seeds: Of random starts.
        records: About how many steps are recorded, evenly spaced.

    Returns:
        The trajectory.

    Raises:
        BadInput: A number out of range, lists of unequal length, an unknown name, or a spectral matrix that is
            negative semi-definite.
        Diverged: U left the finite numbers; names the step.

    Source: arXiv 2202.08788, algorithm and section 2.

    Example:
        >>> from overparam.methods.theory.symmetric_sensing import Noise, robust_instance
        >>> problem = robust_instance(10, 1, 200, noise=Noise("outlier", p=0.2), rng=0)
        >>> path = subgm(problem, 10, init_scale=1e-6, steps=1500)
        >>> bool(path.err[0, -1] < 1e-3)
        True
    """
    _check(steps, records, eta0, step, init, loss)
    runs = _runs(problem, width, init_scale, rho if step == "geometric" else 1.0, seeds, eta0)
    u = _start(problem, runs, init)
    grid = np.unique(np.linspace(0, steps, max(2, records)).round().astype(np.int64))
    follow = _Recorder(problem)
    size = np.zeros(len(u))
    converged = np.zeros(len(u), dtype=bool)
    for t in range(steps + 1):
        with np.errstate(over="ignore", invalid="ignore"):  # divergence is reported below
            x = u @ u.transpose(0, 2, 1)
            residual = problem.forward(x) - problem.y
            q = problem.pull(np.sign(residual) if loss == "absolute" else residual)
            norm = np.sqrt(np.einsum("sij,sij->s", q, q))
        if (t % CHECK_EVERY == 0 or t == steps) and not np.isfinite(norm + np.abs(residual).sum(1)).all():
            raise Diverged(f"descent left the finite numbers by step {t}; eta0={eta0} is too large, try {eta0 / 4:g}")
        converged = norm == 0
        if t == grid[len(follow.steps)] or converged.all():
            with np.errstate(over="ignore", invalid="ignore"):
                follow.record(t, u, x, residual)
            if t == steps or converged.all():
                break
        if step == "polyak":
            size = eta0 * math.pi / 2 * np.abs(residual).mean(1)
        else:
            size = eta0 * runs.rho**t if step == "geometric" else np.full(len(u), step(t), dtype=np.float64)
            q /= np.where(converged, 1.0, norm)[:, None, None]
        u = u - size[:, None, None] * (q @ u)
    return Trajectory(
        steps=np.array(follow.steps),
        err=np.stack(follow.err, 1),
        loss=np.stack(follow.loss, 1),
        signal_norm=np.stack(follow.signal, 1),
        residual_norm=np.stack(follow.rest, 1),
        U=u,
        last_step=size,
        effective_width=(np.abs(u).sum(1) > 0).sum(1),
        converged=converged,
    )


def auto_rho(alpha: float, *, kappa_guess: float = 1.0, r_guess: float = 3.0, eta0: float = 0.2) -> float:
    """Choose the slowest decay that a start needs: eta0 / (1 - rho) = 3 kappa sqrt(r) log(1/alpha).

    A direction with eigenvalue sigma grows by exp(sum_t eta_t sigma / ||X*||) at most, and has to grow by 1/alpha
    before the steps have vanished. Guess kappa and r too large rather than too small: it costs steps, not accuracy.

    Args:
        alpha: Scale of the start, below 1.
        kappa_guess: Largest over smallest non-zero eigenvalue of the matrix, at least 1.
        r_guess: Its rank, at least 1.
        eta0: First step.

    Returns:
        rho, from 0.5 to below 1.

    Raises:
        BadInput: A number out of range.

    Example:
        >>> round(auto_rho(1e-6, r_guess=3), 4)
        0.9972
    """
    if not 0 < alpha < 1 or not 1 <= kappa_guess < math.inf or not 1 <= r_guess < math.inf or not eta0 > 0:
        allowed = "give 0 < alpha < 1, guesses of at least 1 and a positive eta0"
        raise BadInput(f"alpha={alpha}, kappa_guess={kappa_guess}, r_guess={r_guess}, eta0={eta0}: {allowed}")
    return max(0.5, 1 - eta0 / (SAFETY * kappa_guess * math.sqrt(r_guess) * math.log(1 / alpha)))


def spectral_matrix(problem: SymmetricSensing) -> Array:
    """Average the matrices with the signs of their measurements; expected to be phi X* / ||X*||.

    Args:
        problem: Measurements.

    Returns:
        (d, d).

    Source: arXiv 2202.08788, spectral initialisation.
    """
    found: Array = problem.pull(np.sign(problem.y)[None])[0]
    return found


def spectral_ratio(problem: SymmetricSensing) -> float:
    """Estimate ||X*|| / sigma_r from the eigenvalues of the spectral matrix that clear its noise.

    The noise is a random symmetric matrix with eigenvalues below sqrt(2 d / m). Eigenvalues of X* below that, relative
    to its norm, cannot be seen, so for ill-conditioned matrices the estimate is too small. The true ratio is at most
    kappa sqrt(r).

    Args:
        problem: Measurements, Gaussian with entries of variance 1.

    Returns:
        At least 1; 3 if nothing clears the noise.
    """
    values = np.linalg.eigvalsh(spectral_matrix(problem))
    seen = values[values > math.sqrt(2 * problem.d / len(problem))]
    return float(np.sqrt((seen**2).sum()) / seen.min()) if len(seen) else 3.0


@dataclass(frozen=True)
class _Runs:
    """One value a run."""

    width: NDArray[np.int64]
    alpha: Array
    rho: Array
    seed: NDArray[np.int64]


def _runs(
    problem: SymmetricSensing,
    width: int | Sequence[int],
    init_scale: float | Sequence[float],
    rho: float | Sequence[float] | Literal["auto"],
    seeds: int | Sequence[int],
    eta0: float,
) -> _Runs:
    alpha = np.atleast_1d(np.asarray(init_scale, dtype=np.float64))
    if not ((alpha > SMALLEST) & (alpha < math.inf)).all():
        raise BadInput(f"init_scale={init_scale}: give finite alphas above {SMALLEST:g}, such as 1e-6")
    if isinstance(rho, str):
        if rho != "auto" or (alpha >= 1).any():
            raise BadInput(f"rho={rho!r}, init_scale={init_scale}: give rho in numbers, or 'auto' with alphas below 1")
        ratio = spectral_ratio(problem)
        rho = [auto_rho(a, kappa_guess=ratio, r_guess=1, eta0=eta0) for a in alpha.tolist()]
    given = [np.atleast_1d(np.asarray(values)) for values in (width, alpha, rho, seeds)]
    try:
        w, a, p, s = np.broadcast_arrays(*given)
    except ValueError:
        lengths = ", ".join(str(len(values)) for values in given)
        raise BadInput(f"width, init_scale, rho and seeds have {lengths} values; give equal numbers, or one") from None
    if w.dtype.kind not in "iu" or not ((w >= 1) & (w <= problem.d)).all():
        raise BadInput(f"width={width}: give whole numbers from 1 to d={problem.d}")
    if not ((p > 0) & (p <= 1)).all():
        raise BadInput(f"rho={rho}: give numbers above 0 and at most 1")
    return _Runs(w, a, p.astype(np.float64), s)


def _check(steps: int, records: int, eta0: float, step: Step, init: str, loss: str) -> None:
    if steps < 1 or records < 2 or not 0 < eta0 < math.inf:
        raise BadInput(f"steps={steps}, records={records}, eta0={eta0}: give steps >= 1, records >= 2, a positive eta0")
    if not callable(step) and step not in ("geometric", "polyak"):
        raise BadInput(f"step={step!r} is unknown; give geometric, polyak or a function of the step")
    if init not in ("spectral", "random"):
        raise BadInput(f"init={init!r} is unknown; give spectral or random")
    if loss not in ("absolute", "squared"):
        raise BadInput(f"loss={loss!r} is unknown; give absolute or squared")


def _start(problem: SymmetricSensing, runs: _Runs, init: str) -> Array:
    d = problem.d
    u = np.zeros((len(runs.width), d, int(runs.width.max())))
    if init == "spectral":
        values, vectors = np.linalg.eigh(spectral_matrix(problem))
        if values[-1] <= 0:
            raise BadInput(
                "the spectral start has no positive eigenvalue: U U' cannot be the matrix; pass -y, or init='random'"
            )
        root = (vectors * np.sqrt(np.maximum(values, 0.0)))[:, ::-1]
        for i, (w, alpha) in enumerate(zip(runs.width, runs.alpha, strict=True)):
            u[i, :, :w] = alpha * root[:, :w]
    else:
        for i, (w, alpha, seed) in enumerate(zip(runs.width, runs.alpha, runs.seed, strict=True)):
            u[i, :, :w] = alpha * np.random.default_rng(int(seed)).normal(0.0, d**-0.5, (d, w))
    return u


class _Recorder:
    """Takes down errors, losses and norms of recorded steps."""

    def __init__(self, problem: SymmetricSensing) -> None:
        self.target = problem.target
        self.range: Array | None = None
        if self.target is not None:
            values, vectors = np.linalg.eigh(self.target)
            self.range = vectors[:, np.abs(values) > 1e-10 * np.abs(values).max()]
        self.steps: list[int] = []
        self.err: list[Array] = []
        self.loss: list[Array] = []
        self.signal: list[Array] = []
        self.rest: list[Array] = []

    def record(self, t: int, u: Array, x: Array, residual: Array) -> None:
        self.steps.append(t)
        self.loss.append(np.abs(residual).mean(1))
        if self.target is None or self.range is None:
            unknown = np.full(len(u), math.nan)
            self.err.append(unknown)
            self.signal.append(unknown)
            self.rest.append(unknown)
            return
        inside = self.range.T @ u
        self.err.append(np.linalg.norm(x - self.target, axis=(1, 2)))
        self.signal.append(np.linalg.norm(inside, axis=(1, 2)))
        self.rest.append(np.linalg.norm(u - self.range @ inside, axis=(1, 2)))
