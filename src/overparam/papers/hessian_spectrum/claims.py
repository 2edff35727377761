"""Facts of arXiv 1706.04454; its claims are not bound to experiments yet."""

from datetime import date

from overparam.lab import Claim, Paper

PAPER = Paper(
    slug="hessian-spectrum",
    arxiv="1706.04454",
    published=date(2017, 6, 14),
    title="Empirical Analysis of the Hessian of Over-Parametrized Neural Networks",
    authors=("Levent Sagun", "Utku Evci", "V. Ugur Guney", "Yann Dauphin", "Leon Bottou"),
    author_count=5,
    order=9,
    topics=("loss landscape",),
    fidelity="paper",
    summary=(
        "At the end of training the Hessian of a wide network has nearly all its eigenvalues at zero and a few "
        "large ones. More parameters add to the bulk, other data change the few. Solutions of small and large "
        "batches turn out to lie in one connected basin, which calls the picture of isolated minima into "
        "question."
    ),
)

CLAIMS: tuple[Claim, ...] = ()
