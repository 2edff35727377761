"""Facts of arXiv 2303.01566; its claims are not bound to experiments yet."""

from datetime import date

from overparam.lab import Claim, Paper

PAPER = Paper(
    slug="unsupervised-pretraining",
    arxiv="2303.01566",
    published=date(2023, 3, 2),
    title="On the Provable Advantage of Unsupervised Pretraining",
    author_count=4,
    order=20,
    topics=(
        "pretraining",
        "generalisation",
    ),
    fidelity="paper",
    summary=(
        "When does pretraining on unlabelled data provably help? With a latent-variable model fitted first and a "
        "predictor fitted on top, the error splits into a part that shrinks with unlabelled and one that shrinks "
        "with labelled data. Factor models, mixtures and contrastive learning are worked out as cases."
    ),
)

CLAIMS: tuple[Claim, ...] = ()
