"""Facts of arXiv 2506.07055; its claims are not bound to experiments yet."""

from datetime import date

from overparam.lab import Claim, Paper

PAPER = Paper(
    slug="layered-distillation",
    arxiv="2506.07055",
    published=date(2025, 6, 8),
    title=("A Layered Self-Supervised Knowledge Distillation Framework for Efficient Multimodal Learning on the Edge"),
    author_count=9,
    order=5,
    topics=("distillation",),
    fidelity="reconstruction",
    summary=(
        "Auxiliary classifiers on intermediate layers learn labels that combine classes with self-supervised "
        "transformations, and teach each other layer by layer, with no large teacher. They are removed after "
        "training, so inference costs nothing extra. The gain is reported on image classification, few labelled "
        "examples included."
    ),
)

CLAIMS: tuple[Claim, ...] = ()
