"""Facts of arXiv 1910.07224; its claims are not bound to experiments yet."""

from datetime import date

from overparam.lab import Claim, Paper

PAPER = Paper(
    slug="curriculum",
    arxiv="1910.07224",
    published=date(2019, 10, 16),
    title="Teacher algorithms for curriculum learning of Deep RL in continuously parameterized environments",
    author_count=4,
    order=6,
    topics=(
        "curriculum",
        "reinforcement learning",
    ),
    fidelity="official code",
    code="https://github.com/flowersteam/teachDeepRL",
    summary=(
        "A teacher chooses the parameters of procedurally generated environments for a learning agent. Sampling "
        "where the absolute change of the return is large, found by a Gaussian mixture, makes a curriculum that "
        "adapts to the learner and copes with parts of the space that cannot be learned."
    ),
)

CLAIMS: tuple[Claim, ...] = ()
