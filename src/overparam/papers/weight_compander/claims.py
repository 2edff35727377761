"""Facts of arXiv 2306.16993; its claims are not bound to experiments yet."""

from datetime import date

from overparam.lab import Claim, Paper

PAPER = Paper(
    slug="weight-compander",
    arxiv="2306.16993",
    published=date(2023, 6, 29),
    title="Weight Compander: A Simple Weight Reparameterization for Regularization",
    author_count=3,
    order=35,
    topics=("regularisation",),
    fidelity="reconstruction",
    summary=(
        "Every weight is passed through one squashing function while training. This bounds large weights and "
        "moves small ones away from zero, so that more of them take part; the shape of the function is learned "
        "along with the weights. Test accuracy is reported to improve on top of the usual regularisers."
    ),
)

CLAIMS: tuple[Claim, ...] = ()
