"""Facts of arXiv 2110.04366; its claims are not bound to experiments yet."""

from datetime import date

from overparam.lab import Claim, Paper

PAPER = Paper(
    slug="unified-peft",
    arxiv="2110.04366",
    published=date(2021, 10, 8),
    title="Towards a Unified View of Parameter-Efficient Transfer Learning",
    author_count=5,
    order=30,
    topics=(
        "adaptation",
        "language models",
    ),
    fidelity="official code",
    code="https://github.com/jxhe/unify-parameter-efficient-tuning",
    summary=(
        "Adapters, prefix tuning and low-rank updates all add a change to some hidden state, and differ in its "
        "form, place, order and scale. Seen so, prefix tuning is a gated parallel adapter. Combining the best "
        "choices matches full fine-tuning with a few per cent of the parameters or less."
    ),
)

CLAIMS: tuple[Claim, ...] = ()
