"""Facts of arXiv 2501.11651; its claims are not bound to experiments yet."""

from datetime import date

from overparam.lab import Claim, Paper

PAPER = Paper(
    slug="t1",
    arxiv="2501.11651",
    published=date(2025, 1, 20),
    title="Advancing Language Model Reasoning through Reinforcement Learning and Inference Scaling",
    author_count=9,
    order=34,
    topics=(
        "reasoning",
        "reinforcement learning",
        "language models",
    ),
    fidelity="reconstruction",
    code="https://github.com/THUDM/T1",
    summary=(
        "A language model is first taught chains of thought with trial, error and verification, then trained by "
        "reinforcement with many samples at high temperature, an entropy bonus, a moving reference and penalties "
        "on degenerate text. Accuracy then rises with the number of thinking tokens allowed."
    ),
)

CLAIMS: tuple[Claim, ...] = ()
