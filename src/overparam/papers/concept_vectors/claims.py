"""Facts of arXiv 2406.11614; its claims are not bound to experiments yet."""

from datetime import date

from overparam.lab import Claim, Paper

PAPER = Paper(
    slug="concept-vectors",
    arxiv="2406.11614",
    published=date(2024, 6, 17),
    title="Intrinsic Evaluation of Unlearning Using Parametric Knowledge Traces",
    author_count=5,
    comments=2,
    order=23,
    topics=(
        "unlearning",
        "interpretability",
        "language models",
    ),
    fidelity="official code",
    code="https://github.com/yihuaihong/ConceptVectors",
    summary=(
        "Has a language model forgotten, or does it only not say it? Some concepts leave traces in single vectors"
        " of the feed-forward layers. Unlearning methods that change behaviour leave those vectors nearly "
        "untouched, while damaging them directly removes the knowledge and makes it harder to recover by prompts."
    ),
)

CLAIMS: tuple[Claim, ...] = ()
