"""Facts of arXiv 2507.13089; its claims are not bound to experiments yet."""

from datetime import date

from overparam.lab import Claim, Paper

PAPER = Paper(
    slug="glad",
    arxiv="2507.13089",
    published=date(2025, 7, 17),
    title="GLAD: Generalizable Tuning for Vision-Language Models",
    author_count=4,
    order=32,
    topics=(
        "vision-language",
        "adaptation",
    ),
    fidelity="reconstruction",
    summary=(
        "Low-rank tuning of a vision-language model already rivals prompt learning with few examples, yet "
        "overfits. Steering the gradient by a sharpness-aware reference leads to flatter solutions that serve "
        "classes and domains outside the tuning set better."
    ),
)

CLAIMS: tuple[Claim, ...] = ()
