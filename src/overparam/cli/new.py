"""`overparam new`: the skeleton of one more paper."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from overparam.errors import BadInput, Conflict

CLAIMS = '''"""Claims of {title}: what is claimed, by which rule it is judged."""

from datetime import date

from overparam.lab import Above, Claim, Paper

PAPER = Paper(
    slug="{slug}",
    arxiv="0000.00000",
    published=date(2000, 1, 1),
    title="{title}",
    author_count=1,
    topics=("generalisation",),
    fidelity="paper",
    summary="What the paper asks, what it does, what it found: two to four sentences of your own.",
)

CLAIMS = (
    Claim(
        "C1",
        "One sentence in your own words.",
        source="abstract",
        on="first",
        rule=Above("gain", 0.0, why="the paper claims a gain"),
        departs=("a simulation stands in for the paper's setting",),
    ),
)
'''

EXPERIMENTS = '''"""Experiments of {title}: how its claims are tried."""

import numpy as np

from overparam.lab import Drawing, Seeds, Trials, experiment, figure, grid


@experiment(
    smoke=grid(size=[100]),
    laptop=grid(size=[1_000]),
    seeds=Seeds(smoke=4, laptop=10),
    sabotage="the sign of the gain is flipped",
)
def first(size: int, seed: int, sabotage: bool = False) -> dict[str, float]:
    """Replace this by one trial of the method."""
    gain = float(np.random.default_rng(seed).normal(1.0, 1.0, size).mean())
    return {{"gain": -gain if sabotage else gain}}


@figure(on=first)
def gains(trials: Trials) -> Drawing:
    """Replace this by the picture that shows the claim."""
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.add_subplot(title="Gain")
    axes.plot(trials.frame["seed"], trials.frame["gain"], "o")
    axes.set_xlabel("seed")
    return Drawing(figure, caption="Every seed gains. Dots: one seed each.")
'''


def new_paper(
    slug: Annotated[str, typer.Argument(help="Lower case words joined by dashes.")],
    into: Annotated[Path | None, typer.Option(help="Folder of papers; by default the one of this checkout.")] = None,
) -> None:
    """Write a folder with claims and experiments that already runs; the lab finds it by itself."""
    import overparam.papers
    from overparam.lab.model import Paper
    from overparam.lab.registry import papers

    if slug in papers():
        raise Conflict(f"{slug} exists already, in {papers()[slug].package}; choose another slug")
    folder = (into or Path(overparam.papers.__path__[0])) / slug.replace("-", "_")
    title = slug.replace("-", " ").capitalize()
    if not folder.name.isidentifier():
        raise BadInput(f"slug={slug!r} makes no folder name that Python can import; begin with a letter")
    Paper(slug, "0000.00000", date(2000, 1, 1), title, 1, ("generalisation",), "paper", "checks the slug")
    if folder.exists():
        raise Conflict(f"{folder} exists already; choose another slug")
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(f'"""{title}."""\n')
    (folder / "claims.py").write_text(CLAIMS.format(slug=slug, title=title))
    (folder / "experiments.py").write_text(EXPERIMENTS.format(title=title))
    typer.echo(f"Wrote {folder}: fill in claims.py and experiments.py, then\n  overparam run {slug} --scale smoke")
