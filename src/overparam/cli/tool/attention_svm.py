"""`overparam tool attention-svm`: which tokens an attention layer selects, and whether its weights point there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from overparam.errors import BadInput

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

NORMS = {"fro": "Frobenius", "nuc": "nuclear"}
SHOWN = 16  # sequences that the table lists


def command(
    tokens: Annotated[Path, typer.Argument(help="Token embeddings, (n, T, d): .npy or .npz.")],
    queries: Annotated[Path, typer.Argument(help="Query vectors, (n, d), one a sequence.")],
    weights: Annotated[Path | None, typer.Option(help="Attention weights W, (d, d): scores are x' W z.")] = None,
    scores: Annotated[Path | None, typer.Option(help="Scores or probabilities, (n, T), in place of W.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Labels -1 and 1, (n,): train the layer; needs --head.")] = None,
    head: Annotated[Path | None, typer.Option(help="Fixed head v, (d,), for --labels.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Training steps, with --labels.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Of the initial weights, with --labels.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Tell which tokens a layer selects, whether they can be separated, and how near its weights are to doing so."""
    from overparam.cli.inputs import array

    x, z = array(tokens, dimensions=3), array(queries, dimensions=2)
    if sum(given is not None for given in (weights, scores, labels)) != 1 or (labels is None) != (head is None):
        raise BadInput("give one of --weights W, --scores S, or --labels Y with --head V")
    if labels is not None and head is not None:
        document = trained(x, z, array(labels, dimensions=1), array(head, dimensions=1), steps, seed)
    elif weights is not None:
        document = examined(x, z, weights=array(weights, dimensions=2))
    else:
        assert scores is not None
        document = examined(x, z, scores=array(scores, dimensions=2))
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        _print(document)


def examined(x: Array, z: Array, *, weights: Array | None = None, scores: Array | None = None) -> dict[str, Any]:
    """Describe the tokens that given weights or scores select.

    Args:
        x: (n, T, d) tokens.
        z: (n, q) queries.
        weights: (d, q), or None where scores are given.
        scores: (n, T), or None where weights are given.

    Returns:
        Plain data.

    Raises:
        BadInput: Shapes that do not fit.
    """
    import numpy as np

    if weights is not None:
        if weights.shape != (x.shape[2], z.shape[1]) or len(z) != len(x):
            raise BadInput(
                f"--weights has shape {weights.shape}, expected ({x.shape[2]}, {z.shape[1]}) for {len(x)} sequences "
                f"and {len(z)} queries"
            )
        scores = np.einsum("ntd,dq,nq->nt", x, weights, z)
    if scores is None or scores.shape != x.shape[:2]:
        raise BadInput(f"--scores has shape {None if scores is None else scores.shape}, expected {x.shape[:2]}")
    chosen = scores.argmax(1)
    machines = {norm: _machine(x, z, chosen, norm, weights) for norm in NORMS}
    return {
        **_shape(x),
        "selected": chosen.tolist(),
        "separated_by_weights": None
        if weights is None
        else bool((np.sort(scores)[:, -1] > np.sort(scores)[:, -2]).all()),
        "machines": machines,
    }


def trained(x: Array, z: Array, labels: Array, head: Array, steps: int, seed: int) -> dict[str, Any]:
    """Train the layer by normalised descent, as W and as K Q', and describe the tokens that it ends at.

    Args:
        x: (n, T, d) tokens.
        z: (n, d) queries.
        labels: (n,) of -1 and 1.
        head: (d,) fixed head.
        steps: Training steps.
        seed: Of the initial weights.

    Returns:
        Plain data.
    """
    from overparam.methods.theory.attention_svm import attention_svm, is_locally_optimal
    from overparam.methods.theory.attention_training import token_scores, train_attention_batched

    if z.shape[1] != x.shape[2]:
        raise BadInput(f"queries have width {z.shape[1]} and tokens {x.shape[2]}; training needs one width")
    runs = {}
    for name, norm in (("W", "fro"), ("KQ", "nuc")):
        run = train_attention_batched(
            x[None], labels[None], z[None], head[None], factored=name == "KQ", steps=steps, seeds=[seed]
        )
        chosen, worth = run.selected[0], token_scores(x, labels, head)
        with _quiet():
            solved = attention_svm(x, z, chosen, norm=norm, raise_infeasible=False)  # type: ignore[arg-type]
        runs[name] = {
            "selected": chosen.tolist(),
            "best": worth.argmax(1).tolist(),
            "global": bool((chosen == worth.argmax(1)).all()),
            "locally_optimal": is_locally_optimal(solved, worth) if solved.feasible else None,
            "largest_probability": float(run.softmax[0].max(-1).mean()),
            "loss": [float(run.loss[0, 0]), float(run.loss[-1, 0])],
            "machine": _machine(x, z, chosen, norm, run.weights[0]),
        }
    return {**_shape(x), "steps": steps, "trained": runs}


def _shape(x: Array) -> dict[str, int]:
    return dict(zip(("sequences", "tokens", "width"), x.shape, strict=True))


def _machine(x: Array, z: Array, chosen: Array, norm: str, weights: Array | None) -> dict[str, Any]:
    from overparam.methods.theory.attention_svm import attention_svm, correlation

    with _quiet():
        found = attention_svm(x, z, chosen, norm=norm, raise_infeasible=False)  # type: ignore[arg-type]
    separable = found.feasible
    return {
        "norm": norm,
        "separable": separable,
        "margin": 1 / found.value if separable else None,
        "rank": found.rank if separable else None,
        "support_vectors": int(found.active.sum()) if separable else None,
        "gap": found.gap if separable else None,
        "certain": found.converged,
        "correlation": correlation(weights, found.W) if separable and weights is not None else None,
        "attained": _attained(x, z, chosen, weights, found.value, norm) if separable and weights is not None else None,
    }


def _attained(x: Array, z: Array, chosen: Array, weights: Array, value: float, norm: str) -> float:
    """Smallest margin of the weights scaled to norm one, as a part of the largest possible one."""
    import numpy as np

    from overparam.methods.theory.attention_svm import norm_of

    scores = np.einsum("ntd,dq,nq->nt", x, weights, z)
    own = np.take_along_axis(scores, chosen[:, None], 1)
    others = np.arange(x.shape[1]) != chosen[:, None]
    return float((own - scores)[others].min() * value / norm_of(weights, norm))  # type: ignore[arg-type]


def _quiet() -> Any:
    """The gap is part of the document: no warning beside it."""
    import warnings

    return warnings.catch_warnings(action="ignore")


def _print(document: dict[str, Any]) -> None:
    from rich.text import Text

    from overparam.cli import screen

    console = screen.console()
    console.print(
        Text(f"{document['sequences']} sequences of {document['tokens']} tokens, width {document['width']}\n")
    )
    if "trained" in document:
        for name, run in document["trained"].items():
            _print_run("W" if name == "W" else "K Q'", run, document["steps"])
        machines = [run["machine"] for run in document["trained"].values()]
    else:
        console.print(Text(f"Selected tokens: {_few(document['selected'])}"))
        if document["separated_by_weights"] is False:
            console.print(Text("Some best scores are tied: the first token counts.", style=screen.COLOURS["partly"]))
        machines = list(document["machines"].values())
    table = screen.columns(
        ("Machine", ""),
        ("Margin", "right"),
        ("Rank", "right"),
        ("Support", "right"),
        ("Attained", "right"),
        ("Correlation", "right"),
    )
    for machine in machines:
        name = NORMS[machine["norm"]]
        if not machine["separable"]:
            words = "no W separates these tokens" if machine["certain"] else "none found, none ruled out"
            console.print(Text(f"{name}: {words}", style=screen.COLOURS["not reproduced"]))
            continue
        known = machine["correlation"] is not None
        near = (f"{machine['attained']:.0%}", f"{machine['correlation']:.3f}") if known else ("–", "–")
        cells = (f"{machine['margin']:.4g}", str(machine["rank"]), str(machine["support_vectors"]), *near)
        table.add_row(name, *cells)
    console.print()
    console.print(table)
    for machine in machines:
        if machine["separable"] and not machine["certain"]:
            text = f"{NORMS[machine['norm']]}: certified only to a gap of {machine['gap']:.1e}"
            console.print(Text(text, style=screen.COLOURS["partly"]))
    note = (
        "Margin: the largest that weights of norm one can have. Support: tokens at that margin. Attained: part of it "
        "that the weights have. Correlation: of the weights with the machine."
    )
    console.print(Text(f"\n{note}", style=screen.DIM))


def _print_run(name: str, run: dict[str, Any], steps: int) -> None:
    from rich.text import Text

    from overparam.cli import screen

    if run["global"]:
        words = "the tokens of highest worth"
    else:
        local = {True: "locally optimal", False: "not locally optimal", None: "not separable"}[run["locally_optimal"]]
        words = f"not those of highest worth, {_few(run['best'])}; {local}"
    text = (
        f"{name}, after {steps:,} steps: tokens {_few(run['selected'])}, {words}. Mean largest probability "
        f"{run['largest_probability']:.3f}, loss {run['loss'][0]:.3f} to {run['loss'][1]:.3f}."
    )
    screen.console().print(Text(text))


def _few(numbers: list[int]) -> str:
    more = f" and {len(numbers) - SHOWN} more" if len(numbers) > SHOWN else ""
    return " ".join(str(k) for k in numbers[:SHOWN]) + more
