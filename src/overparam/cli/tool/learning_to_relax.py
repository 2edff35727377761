"""`overparam tool learning-to-relax`: tune the relaxation parameter over the user's own linear systems."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from overparam.errors import BadInput, Diverged

if TYPE_CHECKING:
    import numpy as np

SOLVERS, LEARNERS = ("sor", "ssor-cg"), ("tsallis", "cheb")
FEW = 10  # rounds an arm, below which a learner has hardly begun


def command(
    matrices: Annotated[list[Path], typer.Argument(help="Sequence of systems: .mtx, .mtx.gz or .npz of scipy.sparse.")],
    rhs: Annotated[
        Path | None, typer.Option(help="Right-hand side, or one a row for each system; random without.")
    ] = None,
    solver: Annotated[
        str, typer.Option(help="sor, or ssor-cg: conjugate gradients with the SSOR preconditioner.")
    ] = "sor",
    learner: Annotated[str, typer.Option(help="tsallis, or cheb where a number tells systems apart.")] = "tsallis",
    context: Annotated[
        Path | None, typer.Option(help="That number for each system, for cheb; the mean of the diagonal without.")
    ] = None,
    arms: Annotated[int, typer.Option(min=2, help="How many omegas to choose from.")] = 20,
    low: Annotated[float, typer.Option(help="Smallest omega.")] = 1.0,
    high: Annotated[float, typer.Option(help="Largest omega.")] = 1.95,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="Solves; the sequence starts over. Once through without.")
    ] = None,
    tol: Annotated[float, typer.Option(help="Relative residual to reach.")] = 1e-8,
    max_iter: Annotated[int, typer.Option(min=1, help="Cap on iterations of a solve.")] = 10_000,
    hindsight: Annotated[
        bool, typer.Option(help="Also solve each system at every omega, to compare; that costs far more than learning.")
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Of the learner and of random right-hand sides.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Learn omega while a sequence of systems is solved; for a single system, show its cost at each omega."""
    if solver not in SOLVERS or learner not in LEARNERS:
        raise BadInput(
            f"--solver {solver}, --learner {learner}: choose from {', '.join(SOLVERS)} and {', '.join(LEARNERS)}"
        )
    import numpy as np

    if not 0 < low < high < 2:
        raise BadInput(f"--low {low:g}, --high {high:g}: give 0 < low < high < 2, where relaxation converges")
    systems = _systems(matrices, rhs, rounds, seed)
    solve = _Solves(systems, solver, tol, max_iter)
    omegas = np.round(np.linspace(low, high, arms), 6)
    if len(systems) == 1:
        document = curve(solve, systems[0], omegas)
    else:
        contexts = _contexts(systems, context) if learner == "cheb" else None
        document = tune(solve, systems, omegas, contexts, seed, hindsight=hindsight)
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        _print(document)


class _Solves:
    """Iterations of each system at each omega, solved once when first asked for."""

    def __init__(self, systems: list[Any], solver: str, tol: float, max_iter: int) -> None:
        self.systems, self.solver, self.tol, self.max_iter = systems, solver, tol, max_iter
        self.known: dict[tuple[int, float], int] = {}
        self.capped = 0

    def __call__(self, t: int, omega: float) -> int:
        from overparam.methods.tuning.relaxation import sor, ssor_pcg

        if (t, omega) not in self.known:
            path, matrix, b = self.systems[t]
            run = sor if self.solver == "sor" else ssor_pcg
            with warnings.catch_warnings(action="ignore"):  # the cap is counted and said in words of our own
                try:
                    found = run(matrix, b, omega, tol=self.tol, max_iter=self.max_iter)
                except (BadInput, Diverged) as error:
                    raise BadInput(f"{path}: {error}") from None
            self.capped += not found.converged
            self.known[t, omega] = max(1, found.iterations)
        return self.known[t, omega]


def _systems(matrices: list[Path], rhs: Path | None, rounds: int | None, seed: int) -> list[Any]:
    """Pair matrices with right-hand sides: path, CSR and vector of each solve."""
    import numpy as np

    from overparam.cli import inputs

    held = [inputs.sparse(path) for path in matrices]
    given = None if rhs is None else _rows(rhs)
    count = rounds or max(len(held), 1 if given is None else len(given))
    rng = np.random.default_rng(seed)
    systems = []
    for t in range(count):
        path, matrix = matrices[t % len(held)], held[t % len(held)]
        b = rng.standard_normal(matrix.shape[0]) if given is None else given[t % len(given)]
        if len(b) != matrix.shape[0]:
            raise BadInput(f"{rhs} has {len(b)} entries a row and {path} {matrix.shape[0]} rows; give as many")
        systems.append((path, matrix, b))
    return systems


def _rows(path: Path) -> np.ndarray[Any, Any]:
    from overparam.cli import inputs

    try:
        return inputs.array(path, dimensions=1)[None]
    except BadInput as error:
        if "dimensions are needed" not in str(error):
            raise
        return inputs.array(path, dimensions=2)


def _contexts(systems: list[Any], path: Path | None) -> list[float]:
    """One number a system: from a file, or the mean of the diagonal."""
    if path is None:
        found = [float(matrix.diagonal().mean()) for _, matrix, _ in systems]
    else:
        from overparam.cli import inputs

        read = inputs.array(path, dimensions=1).tolist()
        distinct = len({str(p) for p, _, _ in systems})
        if len(read) not in (distinct, len(systems)):
            raise BadInput(f"{path} has {len(read)} numbers for {distinct} matrices; give one for each")
        found = [read[t % len(read)] for t in range(len(systems))]
    if min(found) == max(found):
        raise BadInput("the context is the same for all systems, so it tells nothing; use --learner tsallis")
    return found


def tune(
    solve: _Solves,
    systems: list[Any],
    omegas: np.ndarray[Any, Any],
    contexts: list[float] | None,
    seed: int,
    *,
    hindsight: bool = True,
) -> dict[str, Any]:
    """Let a learner choose omega for each system, then compare with what hindsight knows.

    Args:
        solve: Iterations of system t at omega.
        systems: Path, matrix and right-hand side of each.
        omegas: (d,) arms.
        contexts: One number a system for ChebCB; without, Tsallis-INF.
        seed: Of the learner.
        hindsight: Whether to compare.

    Returns:
        Plain data.
    """
    import numpy as np

    from overparam.methods.tuning.bandits import TsallisINF
    from overparam.methods.tuning.cheb_cb import ChebCB
    from overparam.methods.tuning.learner import Learner
    from overparam.methods.tuning.sequence import run_sequence

    tuner: Learner = TsallisINF(omegas, seed)
    if contexts is not None:
        tuner = ChebCB(omegas, (min(contexts), max(contexts)), rng=seed)
    seen: list[float | None] = [*contexts] if contexts is not None else [None] * len(systems)
    played = run_sequence(tuner, solve, list(zip(seen, range(len(systems)), strict=True)))
    capped, tail = solve.capped, max(1, len(systems) // 5)
    values, counts = np.unique(played.arm[-tail:], return_counts=True)
    notes = [f"{capped} of {len(systems)} solves stopped at the cap of {solve.max_iter:,} iterations"] if capped else []
    if len(systems) < FEW * len(omegas):
        notes.append(
            f"{len(systems)} solves are few for {len(omegas)} omegas: a learner needs some {FEW * len(omegas)}; "
            "give more systems, or fewer --arms"
        )
    return {
        "solver": solve.solver,
        "learner": "tsallis" if contexts is None else "cheb",
        "systems": len(systems),
        "omega_chosen_last": float(values[counts.argmax()]),
        "iterations": {
            "learned": int(played.cost.sum()),
            "learned_last_fifth": int(played.cost[-tail:].sum()),
        },
        "hindsight": _hindsight(solve, len(systems), omegas, tail) if hindsight else None,
        "omegas": played.arm.tolist(),
        "costs": played.cost.astype(int).tolist(),
        "notes": notes,
    }


def _hindsight(solve: _Solves, count: int, omegas: np.ndarray[Any, Any], tail: int) -> dict[str, Any]:
    import numpy as np

    table = np.array([[solve(t, float(omega)) for omega in omegas] for t in range(count)])
    best = int(table.sum(0).argmin())
    return {
        "omega_1": int(sum(solve(t, 1.0) for t in range(count))),
        "best_fixed": int(table[:, best].sum()),
        "best_fixed_last_fifth": int(table[-tail:, best].sum()),
        "best_of_each": int(table.min(1).sum()),
        "omega_best_fixed": float(omegas[best]),
    }


def curve(solve: _Solves, system: Any, omegas: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Solve one system at every omega and at the formula's.

    Args:
        solve: Iterations of system t at omega.
        system: Path, matrix and right-hand side.
        omegas: (d,) to try.

    Returns:
        Plain data.
    """
    from overparam.methods.tuning.relaxation_theory import optimal_omega

    path, matrix, _ = system
    costs = [solve(0, float(omega)) for omega in omegas]
    notes, formula = [], None
    try:
        formula = optimal_omega(matrix)
    except BadInput as error:
        notes.append(f"no formula: {error}")
    if solve.capped:
        notes.append(f"{solve.capped} of {len(omegas)} solves stopped at the cap of {solve.max_iter:,} iterations")
    return {
        "solver": solve.solver,
        "matrix": str(path),
        "rows": matrix.shape[0],
        "omegas": omegas.tolist(),
        "iterations": costs,
        "omega_best": float(omegas[min(range(len(costs)), key=costs.__getitem__)]),
        "optimal_omega": formula,
        "iterations_at_optimal": None if formula is None else solve(0, formula),
        "notes": notes,
    }


def _print(document: dict[str, Any]) -> None:
    from rich.text import Text

    from overparam.cli import screen

    console = screen.console()
    show: Callable[[dict[str, Any]], list[tuple[str, str, str]]] = _curve_rows if "matrix" in document else _tune_rows
    head = ("Omega", "Iterations", "") if "matrix" in document else ("", "Iterations", "Omega")
    table = screen.columns((head[0], ""), (head[1], "right"), (head[2], ""))
    for first, count, last in show(document):
        table.add_row(first, count, Text(last))
    name = {"sor": "SOR", "ssor-cg": "conjugate gradients with SSOR"}[document["solver"]]
    what = (
        f"{document['matrix']}, {document['rows']:,} rows"
        if "matrix" in document
        else f"{document['systems']:,} systems, learner {document['learner']}"
    )
    console.print(Text(f"{what}, {name}\n"))
    console.print(table)
    for text in document["notes"]:
        console.print(Text(f"\nNote: {text}.", style=screen.COLOURS["partly"]))


def _tune_rows(document: dict[str, Any]) -> list[tuple[str, str, str]]:
    paid, known = document["iterations"], document["hindsight"]
    rows = [
        ("learned", f"{paid['learned']:,}", f"{document['omega_chosen_last']:g}, most often in the last fifth"),
        ("learned, last fifth alone", f"{paid['learned_last_fifth']:,}", ""),
    ]
    if known is None:
        return rows
    best = f"{known['omega_best_fixed']:g}"
    return [
        rows[0],
        ("omega = 1", f"{known['omega_1']:,}", "1"),
        ("best fixed, in hindsight", f"{known['best_fixed']:,}", best),
        ("best of each, in hindsight", f"{known['best_of_each']:,}", "varies"),
        rows[1],
        ("best fixed, last fifth alone", f"{known['best_fixed_last_fifth']:,}", best),
    ]


def _curve_rows(document: dict[str, Any]) -> list[tuple[str, str, str]]:
    longest = max(document["iterations"])
    rows = []
    for omega, count in zip(document["omegas"], document["iterations"], strict=True):
        best = " best" if omega == document["omega_best"] and count < longest else ""
        rows.append((f"{omega:g}", f"{count:,}", "#" * max(1, round(30 * count / longest)) + best))
    if document["optimal_omega"] is not None:
        words = "by the formula" if document["solver"] == "sor" else "by the formula, which is made for SOR"
        rows.append((f"{document['optimal_omega']:.4f}", f"{document['iterations_at_optimal']:,}", words))
    return rows
