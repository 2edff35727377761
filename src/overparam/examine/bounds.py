"""Measures made of norms and margins, and what they are worth."""

from __future__ import annotations

import math
import time

from overparam.errors import BadInput
from overparam.examine.bench import Bench
from overparam.examine.section import Section
from overparam.lab.wording import percent, short
from overparam.methods.measures.generalization import compute_measures, list_measures
from overparam.methods.measures.margins import margins

MOST, LEAST, PASSES = 2000, 128, 600  # passes over the data that the search for noise takes
SLOW = ("pacbayes_init", "pacbayes_orig", "pacbayes_flatness", "pacbayes_mag_init", "pacbayes_mag_orig",
        "pacbayes_mag_flatness", "sharpness_mag_flatness", "gradient_noise_end")  # fmt: skip
PLAIN = ("entropy", "cross_entropy", "gradient_noise_end")
WORDS = {
    "parameters": "number of weights",
    "inverse_margin": "1 / margin: small where the right class wins clearly",
    "spec_prod_over_margin": "how much the layers can stretch an input, over the margin",
    "spec_orig_main": "the same with the rank of each layer (Bartlett and others)",
    "fro_prod_over_margin": "product of the layers' norms, over the margin",
    "path_norm_over_margin": "sum over all paths through the network, over the margin",
    "pacbayes_orig": "PAC-Bayes bound from the noise that the weights bear",
    "pacbayes_mag_orig": "the same with noise in proportion to each weight",
    "spec_init_main": "Bartlett type, from the initial weights",
    "l2_distance": "distance from the initial weights",
    "entropy": "uncertainty of the predictions, nats",
    "cross_entropy": "training loss, nats",
}
READING = (
    "These numbers have been proposed to tell from training data alone how well a network will do on new data. None "
    "can be trusted in general: for any such number there are a data set and a network for which it is wrong by a "
    "quarter or more (arXiv 2309.13658). Most exceed 1, and say nothing about an error that lies between 0 and 1. What "
    "they can do is to compare networks of one kind on the same data, with the gap on held-out data as the judge."
)


def bounds(bench: Bench, deadline: float) -> Section:
    """Compute the measures that the model allows, the slow ones if time is left.

    Args:
        bench: What is examined.
        deadline: Moment of `time.monotonic()`.

    Returns:
        Section.
    """
    section = Section("bounds", READING)
    if not bench.classes:
        section.state, section.reason = "skipped", bench.why_none
        return section
    n = bench.affordable(
        lambda k: margins(bench.model, bench.sample(k)), time.monotonic() + 0.3 * (deadline - time.monotonic()),
        most=min(MOST, len(bench.y)),
    )  # fmt: skip
    start = time.monotonic()
    seen = margins(bench.model, bench.sample(n))
    each = (time.monotonic() - start) / n
    values = _measures(bench, n, slow=False)
    few = min(n, int((deadline - time.monotonic()) / (PASSES * each)))
    if few >= LEAST:
        values |= _measures(bench, few, slow=True)
    else:
        section.cut("PAC-Bayes and sharpness measures were left out: they take hundreds of passes over the data.")
    bounding = {name: v for name, v in values.items() if name not in PLAIN}
    vacuous = sum(not v <= 1 for v in bounding.values())
    section.numbers = {
        "examples": n, "accuracy": seen.accuracy, "margin": seen.gamma, "vacuous": vacuous,
        "measures": {name: v if math.isfinite(v) else None for name, v in values.items()},
    }  # fmt: skip
    section.finding = (
        f"{vacuous} of {len(bounding)} measures exceed 1. The network gets {percent(seen.accuracy)} of its training "
        f"labels right; a tenth of them by a margin of {short(seen.gamma)} or less."
    )
    if seen.gamma <= 0:
        section.finding += " Measures over the margin are infinite: more than a tenth of the labels are not fitted."
    section.uncertainty = (
        f"On {n:,} examples, scaled to all {bench.examples.total:,}. PAC-Bayes noise is found by bisection to a "
        "hundredth of accuracy. No interval could make up for what the numbers leave out."
    )
    section.columns = ("measure", "value", "as a bound", "what it is")
    section.rows = [
        (name, short(v) if math.isfinite(v) else "∞",
         "–" if name in PLAIN else "vacuous" if not v <= 1 else "below 1", WORDS.get(name, ""))
        for name, v in sorted(values.items(), key=lambda kv: (kv[0] not in WORDS, list(list_measures()).index(kv[0])))
    ]  # fmt: skip
    return section


def _measures(bench: Bench, n: int, *, slow: bool) -> dict[str, float]:
    names = [
        name for name, needs in list_measures().items()
        if (name in SLOW) == slow
        and not any("history" in need or (need == "init" and bench.initial is None) for need in needs)
        and not (("real inputs" in needs) and not bench.x.is_floating_point())
    ]  # fmt: skip
    initial = bench.initial and {f"inner.{key}": value for key, value in bench.initial.items()}
    # made on n examples, stated for all of them: each is the root of something over the number of examples
    scale = math.sqrt(n / bench.examples.total)
    try:
        found = compute_measures(bench.model, initial, bench.sample(n), names=names, seed=bench.seed)
        return {name: v if name in PLAIN else v * scale for name, v in found.items()}
    except BadInput:
        if slow:
            return {}
        raise
