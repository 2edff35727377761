"""Facts of arXiv 2310.13225; its claims are not bound to experiments yet."""

from datetime import date

from overparam.lab import Claim, Paper

PAPER = Paper(
    slug="scalable-kernels",
    arxiv="2310.13225",
    published=date(2023, 10, 19),
    title="Scalable Neural Network Kernels",
    author_count=5,
    order=24,
    topics=(
        "kernels",
        "adaptation",
    ),
    fidelity="official code",
    code="https://github.com/arijitthegame/neural-network-kernels",
    summary=(
        "A layer is replaced by a dot product of two feature maps, one of the input and one of the weights, so "
        "that its size no longer depends on the input. Random features make the approximation unbiased for many "
        "activations, layers can be bundled, and adapters built this way need fewer parameters."
    ),
)

CLAIMS: tuple[Claim, ...] = ()
