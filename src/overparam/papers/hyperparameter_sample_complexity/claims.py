"""Facts of arXiv 2501.13734; its claims are not bound to experiments yet."""

from datetime import date

from overparam.lab import Claim, Paper

PAPER = Paper(
    slug="hyperparameter-sample-complexity",
    arxiv="2501.13734",
    published=date(2025, 1, 23),
    title=(
        "Sample complexity of data-driven tuning of model hyperparameters in neural networks with structured "
        "parameter-dependent dual function"
    ),
    author_count=3,
    order=26,
    topics=(
        "hyper-parameters",
        "generalisation",
    ),
    fidelity="paper",
    summary=(
        "How many tasks are needed to tune a hyper-parameter so that it works on new tasks of the same kind? The "
        "best achievable utility, as a function of one real parameter, is piecewise constant or polynomial with a"
        " bounded number of pieces, and that number bounds the sample size. Activation mixtures and graph kernels"
        " are examples."
    ),
)

CLAIMS: tuple[Claim, ...] = ()
