"""Some extreme eigenvalues of a symmetric operator by Lanczos' method, with residuals.

After j products with A the basis Q (P, j) spans the Krylov space of a random vector, and Q'A Q = T is tridiagonal.
Ritz values are the eigenvalues theta of T; with eigenvectors s of T the residual |A Q s - theta Q s| equals
beta_j |s_j|, which costs nothing to know.

Without care the basis loses its orthogonality as Ritz values converge, and copies of the largest eigenvalue turn up
that look like further outliers. Here each new vector is made orthogonal to the whole basis, twice.

Source: Lanczos, 1950; Parlett, The Symmetric Eigenvalue Problem, chapter 13 (residuals, twice is enough). Used for
spectra such as those of arXiv 1706.04454.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

import torch
from torch import Tensor

from overparam.errors import BadInput

Which = Literal["LA", "SA", "LM"]
Stop = Literal["residuals", "max_iter", "deadline"]


class Operator(Protocol):
    """A symmetric matrix by its products: a `HessianOperator`, a SciPy LinearOperator, or anything alike."""

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102

    def matvec(self, v: Any, /) -> Any: ...  # noqa: D102


@dataclass(frozen=True)
class EigenResult:
    """Eigenvalues with what is known of their errors.

    Attributes:
        values: (k,) Ritz values, the most extreme first. Fewer where the deadline came before k products.
        vectors: (P, k) unit vectors.
        residuals: (k,) |A v - theta v|; within that distance of each value there is an eigenvalue.
        n_matvec: Products with the operator.
        converged: Whether all k residuals are within the tolerance.
        stopped: What ended the iteration: `residuals` within tolerance, `max_iter`, or the `deadline`.
    """

    values: Tensor
    vectors: Tensor
    residuals: Tensor
    n_matvec: int
    converged: bool
    stopped: Stop


def lanczos(
    op: Operator,
    k: int,
    *,
    which: Which = "LA",
    tol: float = 1e-4,
    max_iter: int | None = None,
    seed: int = 0,
    deadline: float | None = None,
) -> EigenResult:
    """Find k extreme eigenvalues with their vectors.

    The basis is kept in the precision of the operator (`op.dtype`, else double), T in double precision. Costs one
    product an iteration and 4 P j operations for orthogonality at iteration j; memory P numbers an iteration.

    Of an eigenvalue that is exactly multiple, one start vector sees one copy until the Krylov space is exhausted.

    Args:
        op: Symmetric, with `shape` (P, P) and `matvec`; never changed.
        k: 1 to P - 1.
        which: `LA` largest, `SA` smallest, `LM` largest in magnitude.
        tol: A value counts when its residual is at most tol |theta|, or at the level of rounding in the products,
            30 epsilon times the largest |theta|.
        max_iter: Products at most; 10 k + 100, or P if that is less, if None.
        seed: Of the start vector.
        deadline: Moment of `time.monotonic()` after which no further product is begun; at least one is made.

    Returns:
        Values, vectors, residuals, and whether they converged. At the cap or the deadline what there is comes back
        with `converged=False`.

    Raises:
        BadInput: k, max_iter, tol or `which` out of range, an operator that is not square, or products that are not
            finite.

    Example:
        >>> class Diagonal:
        ...     shape = (300, 300)
        ...     def matvec(self, v): return v * torch.arange(300.0).double()
        >>> found = lanczos(Diagonal(), 2, tol=1e-9)
        >>> [round(value, 6) for value in found.values.tolist()], found.converged
        ([299.0, 298.0], True)
    """
    size, cap = _checked(op, k, which, tol, max_iter)
    dtype, device = precision(op), basis_device(op)
    draw = torch.Generator().manual_seed(seed)
    basis = torch.empty(0, size, dtype=dtype, device=device)
    alpha, beta = list[float](), list[float]()
    stopped: Stop
    start = 0  # first row of the current Krylov space
    q = random_direction(basis, draw)
    while True:
        j = len(alpha)
        if j == len(basis):
            basis = torch.cat([basis, basis.new_empty(min(max(32, j // 2), cap - j), size)])
        basis[j] = q
        product = apply(op, q)
        alpha.append(float(product @ q))
        product, norm = orthogonal(product, basis[: j + 1])
        scale = max(map(abs, (*alpha, *beta)), default=0.0)
        broke = norm <= 10 * torch.finfo(dtype).eps * scale or norm == 0.0
        beta.append(0.0 if broke else norm)
        ended = len(alpha) == cap
        late = deadline is not None and time.monotonic() >= deadline
        look = ended or broke or late or _due(j + 1, k)
        if look and _settled(alpha, beta, start, k, which, tol, dtype, size):
            stopped = "residuals"
            break
        if ended or late:
            stopped = "max_iter" if ended else "deadline"
            break
        if broke:  # the space is invariant; what it misses lies across
            start, q = len(alpha), random_direction(basis[: j + 1], draw)
        else:
            q = product / norm
    theta, s, residuals = _ritz(alpha, beta)
    order = _order(theta, which)[:k]
    vectors = basis[: len(alpha)].mT @ s[:, order].to(dtype).to(device)
    own = torch.float64 if device.type != "mps" else dtype
    values, errors = (t[order].to(own).to(device) for t in (theta, residuals))
    return EigenResult(values, vectors, errors, len(alpha), stopped == "residuals", stopped)


def precision(op: Operator) -> torch.dtype:
    """Return the type in which to keep a basis: single precision for operators of at most that, double for others."""
    given = getattr(op, "dtype", None)
    low = isinstance(given, torch.dtype) and given in (torch.float32, torch.bfloat16, torch.float16)
    return torch.float32 if low else torch.float64


def basis_device(op: Operator) -> torch.device:
    """Return where to keep a basis: on the operator's device, else on the CPU."""
    given = getattr(op, "device", None)
    return given if isinstance(given, torch.device) else torch.device("cpu")


def apply(op: Operator, q: Tensor) -> Tensor:
    """Multiply, whatever array the operator gives, and refuse what is not finite.

    Args:
        op: Operator.
        q: (P,).

    Returns:
        (P,), of the type and on the device of `q`.

    Raises:
        BadInput: A product of another shape, or with NaN or infinity.
    """
    product = torch.as_tensor(op.matvec(q)).detach().to(q.device, q.dtype)
    if product.shape != q.shape:
        raise BadInput(f"op.matvec gives shape {tuple(product.shape)} for {tuple(q.shape)}; it must keep the shape")
    if not bool(torch.isfinite(product).all()):
        raise BadInput("op.matvec gives NaN or infinity; pass an operator of finite weights and data")
    return product


def orthogonal(v: Tensor, basis: Tensor) -> tuple[Tensor, float]:
    """Remove from v what lies along the rows of a basis, twice.

    Args:
        v: (P,).
        basis: (j, P) orthonormal rows.

    Returns:
        What is left of v, and its norm.
    """
    for _ in range(2):
        v = v - (basis @ v) @ basis
    return v, float(torch.linalg.vector_norm(v))


def random_direction(basis: Tensor, draw: torch.Generator) -> Tensor:
    """Draw a unit vector orthogonal to the rows of a basis.

    Args:
        basis: (j, P) orthonormal rows, j < P.
        draw: Generator on the CPU, so that devices agree.

    Returns:
        (P,).
    """
    v = torch.randn(basis.shape[1], generator=draw, dtype=torch.float64).to(basis.device, basis.dtype)
    v, norm = orthogonal(v, basis)
    return v / norm


def _checked(op: Operator, k: int, which: str, tol: float, max_iter: int | None) -> tuple[int, int]:
    if len(op.shape) != 2 or op.shape[0] != op.shape[1]:
        raise BadInput(f"op has shape {tuple(op.shape)}; eigenvalues need a square one")
    size = int(op.shape[0])
    if not 1 <= k < size:
        raise BadInput(f"k={k} of {size} eigenvalues; pass 1 <= k < {size}, or use to_dense for all")
    if which not in get_args(Which):
        raise BadInput(f"which={which!r} is unknown; choose {', '.join(get_args(Which))}")
    if not tol > 0:
        raise BadInput(f"tol={tol} is not positive; pass such as 1e-4")
    if max_iter is not None and max_iter < k:
        raise BadInput(f"max_iter={max_iter} gives no {k} values; pass max_iter>={k}")
    return size, min(size, 10 * k + 100 if max_iter is None else max_iter)


def _due(j: int, k: int) -> bool:
    """Look at the residuals every other step, later less often: the eigenproblem of T costs j³."""
    return j >= k and j % (2 if j < 100 else 10) == 0


def _ritz(alpha: list[float], beta: list[float], start: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Eigenvalues and vectors of T from row `start` on, with residuals."""
    from scipy.linalg import eigh_tridiagonal

    theta, s = eigh_tridiagonal(alpha[start:], beta[start:-1])
    values, vectors = torch.from_numpy(theta), torch.from_numpy(s)
    return values, vectors, beta[-1] * vectors[-1].abs()


def _rank(theta: Tensor, which: str) -> Tensor:
    return {"LA": -theta, "SA": theta, "LM": -theta.abs()}[which]


def _order(theta: Tensor, which: str) -> Tensor:
    return torch.argsort(_rank(theta, which), stable=True)


def _settled(
    alpha: list[float], beta: list[float], start: int, k: int, which: str, tol: float, dtype: torch.dtype, size: int
) -> bool:
    """Whether k values are within tolerance, and the current Krylov space holds nothing that belongs among them."""
    if len(alpha) < k:
        return False
    theta, _, residuals = _ritz(alpha, beta)
    floor = 30 * torch.finfo(dtype).eps * float(theta.abs().max())
    order = _order(theta, which)[:k]
    if bool((residuals[order] > (tol * theta[order].abs()).clamp_min(floor)).any()):
        return False
    if len(alpha) == size:
        return True
    if start == 0:
        return beta[-1] > 0  # an invariant space tells nothing of what lies across
    lead, _, own = _ritz(alpha, beta, start)
    first = int(_order(lead, which)[0])
    if float(own[first]) > max(tol * abs(float(lead[first])), floor):
        return False
    new, last = _rank(lead[first : first + 1], which), _rank(theta[order[-1:]], which)
    return bool(new >= last - floor)
