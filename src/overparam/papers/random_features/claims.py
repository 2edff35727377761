"""Facts of arXiv 2311.14646; its claims are not bound to experiments yet."""

from datetime import date

from overparam.lab import Claim, Paper

PAPER = Paper(
    slug="random-features",
    arxiv="2311.14646",
    published=date(2023, 11, 24),
    title=(
        "More is Better in Modern Machine Learning: when Infinite Overparameterization is Optimal and "
        "Overfitting is Obligatory"
    ),
    author_count=4,
    order=14,
    topics=(
        "kernels",
        "generalisation",
    ),
    fidelity="official code",
    code="https://github.com/dkarkada/more-is-better",
    summary=(
        "Formulas predict train and test error of random-feature regression from the spectrum of a kernel. With "
        "the ridge well tuned, more features and more data never hurt, so an infinite number of features is best;"
        " for some power-law spectra and little noise the best ridge fits the training data perfectly."
    ),
)

CLAIMS: tuple[Claim, ...] = ()
