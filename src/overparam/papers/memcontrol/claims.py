"""Facts of arXiv 2405.19458; its claims are not bound to experiments yet."""

from datetime import date

from overparam.lab import Claim, Paper

PAPER = Paper(
    slug="memcontrol",
    arxiv="2405.19458",
    published=date(2024, 5, 29),
    title="MemControl: Mitigating Memorization in Diffusion Models via Automated Parameter Selection",
    author_count=5,
    comments=1,
    order=31,
    topics=(
        "memorisation",
        "diffusion models",
        "adaptation",
    ),
    fidelity="official code",
    code="https://github.com/Raman1121/Diffusion_Memorization_HPO",
    summary=(
        "Diffusion models fine-tuned on little data copy their training images. Tuning fewer parameters helps, "
        "and which ones matters: a search over masks, rewarded for quality and against copying, finds a better "
        "balance than full fine-tuning or fixed subsets, and its masks carry over to other data."
    ),
)

CLAIMS: tuple[Claim, ...] = ()
