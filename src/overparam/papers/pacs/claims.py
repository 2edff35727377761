"""Facts of arXiv 2509.02522; its claims are not bound to experiments yet."""

from datetime import date

from overparam.lab import Claim, Paper

PAPER = Paper(
    slug="pacs",
    arxiv="2509.02522",
    published=date(2025, 9, 2),
    title="Implicit Actor Critic Coupling via a Supervised Learning Framework for RLVR",
    author_count=8,
    comments=6,
    order=8,
    topics=(
        "reasoning",
        "reinforcement learning",
        "language models",
    ),
    fidelity="official code",
    code="https://github.com/ritzz-ai/PACS",
    summary=(
        "Reinforcement learning from verifiable rewards is recast as classification: the reward is the label, a "
        "score of the policy is the logit, cross-entropy is the loss. Its gradient contains the policy gradient, "
        "with actor and critic in one network. Training is reported to be steadier than with PPO or GRPO."
    ),
)

CLAIMS: tuple[Claim, ...] = ()
