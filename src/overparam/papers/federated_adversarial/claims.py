"""Facts of arXiv 2208.03635; its claims are not bound to experiments yet."""

from datetime import date

from overparam.lab import Claim, Paper

PAPER = Paper(
    slug="federated-adversarial",
    arxiv="2208.03635",
    published=date(2022, 8, 7),
    title="Federated Adversarial Learning: A Framework with Convergence Analysis",
    author_count=3,
    order=4,
    topics=(
        "federated learning",
        "optimisation",
    ),
    fidelity="paper",
    summary=(
        "Clients train locally on adversarial samples that they make themselves, and a server averages their "
        "updates. For wide networks and separable data the analysis shows that the global robust loss gets as "
        "small as one likes, also when clients have different data and take several local steps."
    ),
)

CLAIMS: tuple[Claim, ...] = ()
