"""`overparam tool hyperparameter-sample-complexity`: one hyper-parameter tuned exactly over many tasks."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any

import typer

from overparam.errors import BadInput

if TYPE_CHECKING:
    from overparam.methods.tuning.data_driven_tuner import DataDrivenTuner

app = typer.Typer(
    help="Tune one real hyper-parameter over your tasks, or ask how many tasks that takes.", no_args_is_help=True
)
WIDTH = 60


@app.command("tune")
def tune(
    target: Annotated[str, typer.Argument(help="module:function or file.py:function that returns a list of tasks.")],
    lo: Annotated[float, typer.Option(help="Left end of the range.")] = 0.0,
    hi: Annotated[float, typer.Option(help="Right end of the range.")] = 1.0,
    tol: Annotated[float, typer.Option(help="Width to which jumps are narrowed.")] = 1e-6,
    max_evals: Annotated[int, typer.Option(help="Trainings that a task may take.")] = 5_000,
    breaks: Annotated[
        int | None, typer.Option(min=0, help="Most jumps that any task can have, if you know it.")
    ] = None,
    delta: Annotated[float, typer.Option(help="Probability that the certificate fails.")] = 0.05,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Find the best value for the average of your tasks, with the whole curve and a certificate.

    A task is a pair (predict, target): predict takes an array of values and returns one row of labels for each.
    """
    tuner = tuned(target, lo, hi, tol, max_evals)
    document = describe(tuner, breaks, delta)
    typer.echo(json.dumps(document, indent=2)) if as_json else _print(document)


@app.command("tasks-needed")
def needed(
    accuracy: Annotated[float, typer.Option(help="Wanted deviation of the average from the expectation.")] = 0.1,
    breaks: Annotated[int, typer.Option(min=0, help="Most jumps that any task can have.")] = 100,
    height: Annotated[float, typer.Option(help="Length of the interval in which utilities lie.")] = 1.0,
    delta: Annotated[float, typer.Option(help="Probability of failure.")] = 0.05,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Say how many tasks make the average utility accurate for all values at once."""
    from overparam.methods.tuning.task_bounds import pdim_upper, tasks_needed

    count = tasks_needed(accuracy, breaks, height=height, delta=delta)
    document = {
        "accuracy": accuracy,
        "breaks": breaks,
        "delta": delta,
        "pseudo_dimension": pdim_upper(breaks),
        "tasks": count,
    }
    if as_json:
        typer.echo(json.dumps(document, indent=2))
        return
    typer.echo(
        f"{count:,} tasks: with probability {1 - delta:.0%} the average utility is then within {accuracy:g} of the "
        f"expected one for every value,\nand the tuned value within {2 * accuracy:g} of the best. Pseudo-dimension at "
        f"most {document['pseudo_dimension']}."
    )


def tuned(target: str, lo: float, hi: float, tol: float, max_evals: int) -> DataDrivenTuner:
    """Tune over the tasks that a user's function returns.

    Args:
        target: Place of the function.
        lo: Left end.
        hi: Right end.
        tol: Width to which breaks are narrowed.
        max_evals: Budget of each task.

    Returns:
        The fitted tuner.

    Raises:
        BadInput: The function returns something else than tasks.
    """
    import numpy as np

    from overparam.examine.subject import function_at
    from overparam.methods.tuning.data_driven_tuner import DataDrivenTuner
    from overparam.methods.tuning.piecewise import PiecewiseFunction

    made = function_at(target)()
    if not isinstance(made, list | tuple) or not made:
        raise BadInput(f"{target} returned a {type(made).__name__}; return a list of tasks, at least one")
    tasks, targets = [], []
    for number, task in enumerate(made):
        if isinstance(task, PiecewiseFunction):
            tasks.append(task)
            targets.append(np.empty(0))
        elif isinstance(task, tuple) and len(task) == 2 and callable(task[0]):
            tasks.append(task[0])
            targets.append(np.asarray(task[1]))
        else:
            raise BadInput(f"{target}: task {number} is no pair (predict, target) and no PiecewiseFunction")
    return DataDrivenTuner(lo, hi, tol=tol, max_evals=max_evals).fit(tasks, targets)


def describe(tuner: DataDrivenTuner, breaks: int | None, delta: float) -> dict[str, Any]:
    """Compute what the command prints.

    Args:
        tuner: Fitted.
        breaks: A bound on the breaks of every task, or None.
        delta: Probability of failure.

    Returns:
        Plain data.
    """
    from overparam.methods.tuning.task_bounds import tasks_needed

    certificate = tuner.certificate(breaks=breaks, delta=delta)
    edges, values = tuner.curve_.edges, tuner.curve_.pieces[:, 0]
    return {
        "alpha": tuner.alpha_,
        "utility": tuner.utility_,
        "maximisers": [list(span) for span in tuner.maximum_.intervals],
        "tasks": certificate.tasks,
        "jumps": list(certificate.counts),
        "evaluations": tuner.n_evals_,
        "deviation_observed": certificate.observed,
        "deviation_algebraic": certificate.algebraic,
        "suboptimality": certificate.suboptimality,
        "tasks_for_a_tenth": tasks_needed(0.05, max(certificate.counts), delta=delta),
        "delta": delta,
        "curve": {"edges": edges.tolist(), "values": values.tolist()},
    }


def _print(document: dict[str, Any]) -> None:
    import numpy as np
    from rich.text import Text

    from overparam.cli import screen

    console = screen.console()
    edges, values = np.array(document["curve"]["edges"]), np.array(document["curve"]["values"])
    places = np.linspace(edges[0], edges[-1], WIDTH + 1)
    share = [values[(edges[1:] > a) & (edges[:-1] < b)].mean() for a, b in pairwise(places)]
    low, high = min(share), max(max(share), min(share) + 1e-12)
    bars = "".join("▁▂▃▄▅▆▇█"[round(7 * (v - low) / (high - low))] for v in share)
    console.print(Text(f"Best value {document['alpha']:.6g}, average utility {document['utility']:.4g}", style="bold"))
    spans = document["maximisers"]
    more = f" and {len(spans) - 1} more intervals" if len(spans) > 1 else ""
    widest = max(spans, key=lambda span: span[1] - span[0])
    console.print(Text(f"The same on [{widest[0]:.6g}, {widest[1]:.6g}]{more}\n"))
    console.print(Text(f"{high:.3g}  {bars}\n{low:.3g}  {edges[0]:<{WIDTH // 2}.4g}{edges[-1]:>{WIDTH // 2}.4g}\n"))
    jumps, sure = document["jumps"], f"{1 - document['delta']:.0%}"
    counted = f"{document['tasks']} tasks jump {min(jumps)} to {max(jumps)} times"
    console.print(Text(f"{counted}; {document['evaluations']:,} values were tried."))
    if document["suboptimality"] < 1:
        text = f"on average, within {document['suboptimality']:.2g} of what the best value would."
        console.print(Text(f"With probability {sure} new tasks of the same kind reach, {text}"))
    else:
        text = f"if none jumps more than {max(jumps)} times, {document['tasks_for_a_tenth']:,} tasks give 0.1"
        console.print(Text(f"That is too few for a certificate at {sure}: {text}.", style=screen.DIM))
