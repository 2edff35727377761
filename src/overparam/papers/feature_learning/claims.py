"""Facts of arXiv 2011.14522; its claims are not bound to experiments yet."""

from datetime import date

from overparam.lab import Claim, Paper

PAPER = Paper(
    slug="feature-learning",
    arxiv="2011.14522",
    published=date(2020, 11, 29),
    title="Feature Learning in Infinite-Width Neural Networks",
    author_count=2,
    order=16,
    topics=(
        "scaling",
        "kernels",
    ),
    fidelity="official code",
    code="https://github.com/edwardjhu/TP4",
    summary=(
        "As networks grow wide, the usual parametrisations end up as kernel machines that learn no features. "
        "Scaling initialisation and learning rates layer by layer in another way, called maximal update, keeps "
        "every layer learning in the limit. The limits can be computed, and beat kernels on word vectors and "
        "few-shot images."
    ),
)

CLAIMS: tuple[Claim, ...] = ()
