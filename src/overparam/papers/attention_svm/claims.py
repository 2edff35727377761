"""Facts of arXiv 2308.16898; its claims are not bound to experiments yet."""

from datetime import date

from overparam.lab import Claim, Paper

PAPER = Paper(
    slug="attention-svm",
    arxiv="2308.16898",
    published=date(2023, 8, 31),
    title="Transformers as Support Vector Machines",
    author_count=4,
    order=12,
    topics=(
        "attention",
        "optimisation",
    ),
    fidelity="official code",
    code="https://github.com/umich-sota/TF-as-SVM",
    summary=(
        "Training the attention weights of one layer by gradient descent converges in direction to a support "
        "vector machine that separates the selected tokens from the rest. Its norm is Frobenius if the weights "
        "are one matrix and nuclear if they are key times query, which favours low rank."
    ),
)

CLAIMS: tuple[Claim, ...] = ()
