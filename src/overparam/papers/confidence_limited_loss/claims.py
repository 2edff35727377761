"""Facts of arXiv 2502.07154; its claims are not bound to experiments yet."""

from datetime import date

from overparam.lab import Claim, Paper

PAPER = Paper(
    slug="confidence-limited-loss",
    arxiv="2502.07154",
    published=date(2025, 2, 10),
    title=(
        "Rethinking Fine-Tuning when Scaling Test-Time Compute: Limiting Confidence Improves Mathematical Reasoning"
    ),
    author_count=5,
    order=22,
    topics=(
        "reasoning",
        "language models",
    ),
    fidelity="paper",
    summary=(
        "Fine-tuning with cross-entropy makes a model confident, which helps its single best answer and hurts "
        "when many answers are sampled. Training the chance that one of N samples is right limits confidence and "
        "restores the benefit of sampling, in mathematics and in theorem proving."
    ),
)

CLAIMS: tuple[Claim, ...] = ()
