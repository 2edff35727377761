"""Claims of arXiv 1710.03667: how test error evolves in large networks, and why they do not overtrain."""

from datetime import date

from overparam.lab import Above, AllOf, Below, Between, Claim, Computed, Contrast, Correlation, Departure, Exact, Paper
from overparam.lab.rules import Slope
from overparam.papers.generalization_dynamics.judging import peak_of_trained, theory_band

PAPER = Paper(
    slug="generalization-dynamics",
    arxiv="1710.03667",
    published=date(2017, 10, 10),
    title="High-dimensional dynamics of generalization error in neural networks",
    authors=("Madhu S. Advani", "Andrew M. Saxe"),
    author_count=2,
    order=11,
    topics=("generalisation",),
    fidelity="reconstruction",
    summary=(
        "Random-matrix theory gives the exact course of training and test error in large linear networks. "
        "Overtraining is worst when there are as many parameters as samples and fades on both sides, since "
        "directions without data stay frozen and small eigenvalues stay away from zero. Small initial weights are"
        " needed to profit."
    ),
)

SMALL = Departure("networks of 60 to 100 inputs", inputs=(60, 100))
FEW = Departure("40 to 100 samples", samples=(40, 60, 100))
FORMULAS = Departure("the paper's formulas were derived anew; sizes and ratios are ours")
WEIGHTS = Departure("40 to 200 weights", weights=(40, 200))
DEEP = Departure("layers start aligned and balanced, so that directions do not mix; reconstructed")
SETTING = Departure("teacher, sizes, noise and scaling of the weights are ours")
STEPS = Departure("full-batch steps whose length adapts to the loss stand in for gradient flow")
DIGITS = Departure("8 x 8 digits, a fifth of the labels wrong, squared error", data="digits")
MNIST = Departure("400 MNIST images, a fifth of the labels wrong, squared error", data="mnist")
RANDOM = Departure("a random hidden layer of which the output weights are trained")
BOUND = Departure("the bound is reconstructed; test − training error is what it should follow")
LITTLE = "early on little of it has happened: less than a tenth"
FEW_PER_CENT = "a few per cent, taken as three"
EDGE = "at finite size the edge lies a little inside; its scale falls as samples^(−2/3)"
NONLINEAR = "abstract; section on nonlinear networks"
EQUAL, SMALLER, LARGER = (5, 6, 8, 12), (2, 3), (40, 200)  # widths of 1, 0.5 and 32 weights a sample


def _more(metric: str, words: str, by: str, *pairs: tuple[object, object], **where: object) -> tuple[Contrast, ...]:
    """One rule a pair of settings: the metric is larger in the first."""
    return tuple(
        Contrast(metric, treat={by: a}, against={by: b}, where=where or None, name=f"{words}, {by} {a} − {b}")
        for a, b in pairs
    )


def _forgets(alpha: float) -> Slope:
    slope = max(0.0, 1 - alpha)
    name, why = f"final error by initial variance, alpha {alpha:g}", "the theory's slope is 1 − alpha, from 1 on 0"
    inside = (slope - 0.02, slope + 0.02)
    return Slope("final_in_noise", over="inr", inside=inside, where={"alpha": alpha}, name=name, why=why)


CLAIMS = (
    Claim(
        "C1",
        "With many inputs and samples in a fixed ratio, random-matrix theory gives training and test error of a linear "
        "student at every time of training.",
        kind="theorem", source="abstract; exact solutions in linear models", on="dynamics", departs=(SMALL, FORMULAS),
        rule=Computed(
            theory_band,
            why="the theory is a limit; 2 % covers corrections of the order of one over the number of inputs, 5 % the "
            "heavy tail of late errors at alpha = 1",
        ),
    ),
    Claim(
        "C2",
        "Overtraining is worst when there are as many weights as samples; it shrinks when the network is made smaller "
        "or larger, and takes long to build up.",
        source="abstract", on="sizes", departs=(FEW, FORMULAS),
        rule=AllOf(
            *_more("gap", "overtraining", "alpha", (1.0, 0.9), (1.0, 1.1), (0.9, 0.5), (0.5, 0.25), (1.1, 2), (2, 4)),
            Below("early_share", 0.1, where={"alpha": 1.0}, name="share after 1 % of the time, alpha 1", why=LITTLE),
        ),
        note="Alpha is samples a weight. The number of inputs varies while samples and the variances of weights and "
        "noise stay, so that larger networks also have more to learn; C6 has one task for all widths.",
    ),
    Claim(
        "C2d",
        "Deep linear networks start more slowly from small weights, and overtrain in the same places.",
        source="section on deep linear networks", on="depths", departs=(DEEP, FEW),
        rule=AllOf(
            *(
                part
                for d in (2, 3, 4)
                for part in _more("gap", f"{d} layers: overtraining", "alpha", (1.0, 0.5), (1.0, 2.0), depth=d)
            ),
            *_more("half_time", "time to half of the gain", "depth", (2, 1), (3, 2), (4, 3)),
        ),
    ),
    Claim(
        "C3",
        "With fewer samples than weights a low test error needs small initial weights: what they hold in the null "
        "space stays, while with more samples it is forgotten.",
        source="abstract", on="starts", departs=(SMALL, FORMULAS),
        rule=AllOf(*(_forgets(alpha) for alpha in (0.25, 0.5, 0.75, 2.0))),
    ),
    Claim(
        "C3n",
        "A wide nonlinear network also needs small initial weights.",
        source=NONLINEAR, on="both_layers", departs=(SETTING, STEPS, FEW),
        rule=AllOf(*_more("final", "final test error", "scale", (3.0, 0.1), width=LARGER)),
    ),
    Claim(
        "C4",
        "With fewer samples than weights, as many directions as are missing receive no gradient: their weights stay "
        "where they started.",
        kind="theorem", source="abstract: frozen subspace", on="frozen", departs=(WEIGHTS,),
        rule=AllOf(
            Exact("null_move", 1e-10, name="move in the null space / move", why="rounding of double precision"),
            Exact("share_off", 1e-12, name="frozen share − (1 − alpha)"),
            Above("move", 0.1, name="move of all weights", why="the others do learn"),
        ),
    ),
    Claim(
        "C5",
        "The smallest eigenvalue above zero grows away from alpha = 1 on both sides, as (sqrt(alpha) − 1)².",
        source="abstract: better-conditioned input correlations", on="sizes", departs=(FEW, FORMULAS),
        rule=AllOf(
            *(
                Between("smallest_ratio", 0.9, 1.1, where={"alpha": a}, name=f"smallest / edge, alpha {a:g}", why=EDGE)
                for a in (0.25, 0.5, 2.0, 4.0)
            ),
            *_more("smallest", "smallest eigenvalue", "alpha", (0.5, 0.9), (2.0, 1.1)),
        ),
        note="Closer to alpha = 1 it lies further inside at finite size: the table of the figure has the ratios.",
    ),
    Claim(
        "C6",
        "Very wide random hidden layers are not harmed, without any early stopping: error and overtraining peak at as "
        "many hidden units as samples and fall beyond, and the best error during training keeps falling.",
        source=NONLINEAR, on="hidden_layer", departs=(SETTING, FEW),
        rule=AllOf(
            *_more("log_final", "log final error", "share", (1.0, 0.75), (1.0, 1.25), (2.0, 8.0)),
            *_more("log_gap", "log overtraining", "share", (2.0, 8.0)),
            *_more("stopped", "best error", "share", (0.25, 1.0), (1.0, 8.0)),
        ),
        note="Share: hidden units a sample.",
    ),
    Claim(
        "C6f",
        "The same holds where both layers are trained: overtraining is worst where weights are as many as samples, and "
        "very wide networks overtrain less.",
        source=NONLINEAR, on="both_layers", departs=(SETTING, STEPS, FEW),
        rule=AllOf(
            Computed(peak_of_trained, why="as many weights as samples, within a factor 2: units come in whole numbers"),
            *_more("gap", "overtraining", "width", (EQUAL, SMALLER), (EQUAL, LARGER), scale=0.1),
        ),
        note="Widths of 1, of 0.5 and of 32 weights a sample.",
    ),
    Claim(
        "C6r",
        "The same holds on real images of which some have wrong labels.",
        source=NONLINEAR, on="images", departs=(DIGITS, MNIST, RANDOM),
        rule=AllOf(
            *_more("log_final", "log final error", "share", (1.0, 0.5), (1.0, 2.0), (2.0, 8.0)),
            *_more("stopped", "best error", "share", (0.5, 8.0)),
        ),
    ),
    Claim(
        "C7",
        "Early stopping is nearly as good as the best ridge, and not the same.",
        source="section on early stopping and weight decay", on="stopping", departs=(SMALL, FORMULAS),
        rule=AllOf(
            Exact("gap_theory", 3.0, name="excess over ridge, theory", unit="%", why=FEW_PER_CENT),
            Above("gap_theory", 0.0, name="the same, above zero", unit="%"),
            Between("gap", -3.0, 3.0, name="excess, both chosen on validation data", unit="%", why=FEW_PER_CENT),
            Exact("best_penalty_off", 0.06, name="log of the best penalty times SNR", why="half a step of the grid"),
        ),
        note="Errors on noisy test labels; without their noise the excess in theory is larger, up to 3.9 %.",
    ),
    Claim(
        "C7s",
        "The less noise, the longer one should train.",
        source="section on early stopping", on="stopping", departs=(SMALL, FORMULAS),
        rule=AllOf(
            *_more("log_time_theory", "log of the best time, theory", "snr", (25.0, 1.0)),
            *_more("log_time", "log of the time chosen on validation data", "snr", (25.0, 1.0)),
        ),
    ),
    Claim(
        "C8",
        "A bound that counts weights gives the wrong dependence on width; one that knows of the frozen subspace and of "
        "the gap in the spectrum follows what is observed.",
        source="abstract: Rademacher complexity", on="hidden_layer", departs=(SETTING, FEW, BOUND),
        rule=AllOf(
            Correlation("log_learned", "difference", above=0.7, name="rank correlation with the new bound",
                        why="most pairs of widths in the right order: 17 of 20"),
            Correlation("log_counted", "difference", below=0.0, where={"share": (1.0, 1.25, 2.0, 4.0, 8.0)},
                        name="with the number of weights, from as many as samples on",
                        why="the wrong dependence: more weights, less difference"),
        ),
    ),
)  # fmt: skip
