"""Claims of arXiv 2308.16898: attention weights converge in direction to a machine that separates tokens."""

from collections.abc import Mapping
from datetime import date

from overparam.lab import Above, AllOf, Below, Claim, Exact, Paper, Slope

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

FINITE = "directions are compared after a finite number of normalised steps; the theorem is about the limit"
STARTS = "the global optimum in each ball is sought from four starts; a path that ends above a known point is left out"
RADII = "radii up to 256; the theorem is about the limit"
ROWS = "rows of 8 x 8 digits with noise as tokens, eight images; the paper uses random tokens"
ALMOST = "a direction counts as reached from 0.98 on: the official figures end near 0.99"
_W = {"trains": "W", "optimiser": "normalised"}
_KQ = {"trains": "KQ", "optimiser": "normalised"}
BEST, GROWS = "runs at the best tokens", "the share must grow with the width"
_WIDE = {"d": (10, 15, 20)}


def _local(where: Mapping[str, str], name: str) -> AllOf:
    runs = f"{name}, runs at other tokens than the best"
    why = "locally optimal tokens are what descent can converge to; a tenth for runs that are still under way"
    return AllOf(
        Above("selected_minus_best", 0.0, where=where, name=f"{runs}: selected − best tokens, correlation"),
        Above("locally_optimal", 0.9, where=where, name=f"{runs}: share that is locally optimal", why=why),
    )


def _limit(norm: str, name: str) -> AllOf:
    where, distance = {"norm": norm}, "1 − correlation"
    angle, rate = "the angle is then below 3 degrees; the limit is zero", "a bounded remainder in W leaves at most 1/R"
    return AllOf(
        Below("log10_gap", -3.0, where=where, name=f"{name}: log10 of {distance}, R = 256", why=angle),
        Below("slope", -1.0, where=where, name=f"{name}: exponent of {distance} in R, 4 to 64", why=rate),
    )


CLAIMS = (
    Claim(
        "C1",
        "Trained directly, the attention matrix converges in direction to the hard-margin machine of least Frobenius "
        "norm that separates the selected token of each sequence from the others.",
        source="equivalence for W; figure of the official notebook on local convergence",
        on="alignment",
        departs=(FINITE,),
        rule=AllOf(
            Above("fro", 0.98, where=_W, name="correlation of W with the Frobenius machine", why=ALMOST),
            Above("fro_minus_nuc", 0.0, where=_W, name="W: Frobenius − nuclear machine, correlation"),
        ),
        reported="official notebook: about 0.99 after 1,000 steps, mean of 100 seeds",
    ),
    Claim(
        "C1d",
        "The same machine describes layers trained on real tokens: weights correlate with the machine of the tokens "
        "that they select, more than foreign weights do.",
        source="equivalence for W and (K, Q), carried over to real tokens by us",
        on="digits",
        departs=(FINITE, ROWS),
        rule=AllOf(
            *(
                Above(f"minus_{k}", 0.0, where={"trains": t}, name=f"{n}: own − {w} weights, correlation")
                for t, n in (("W", "W"), ("KQ", "(K, Q)"))
                for k, w in (("other", "another seed's"), ("random", "random"))
            ),
        ),
    ),
    Claim(
        "C2",
        "Trained as key times query, the product converges in direction to the machine of least nuclear norm instead: "
        "a bias towards low rank.",
        source="equivalence for (K, Q): a theorem on the regularisation path, an observation for descent",
        on="alignment",
        departs=(FINITE,),
        rule=AllOf(
            Above("nuc", 0.98, where=_KQ, name="correlation of KQ' with the nuclear machine", why=ALMOST),
            Below("fro_minus_nuc", 0.0, where=_KQ, name="KQ': Frobenius − nuclear machine, correlation"),
        ),
        reported="official notebook: above 0.99 with the nuclear machine, about 0.85 with the Frobenius machine",
    ),
    Claim(
        "C3",
        "The best weights of norm at most R, over R, converge to the machine of the best tokens as R grows: Frobenius "
        "for W, nuclear for (K, Q).",
        kind="theorem",
        source="theorem on the regularisation path",
        on="path",
        departs=(STARTS, RADII),
        rule=AllOf(_limit("fro", "Frobenius"), _limit("nuc", "nuclear")),
    ),
    Claim(
        "C4",
        "Descent may converge to a locally optimal direction: then the machine of the tokens that it selected "
        "describes the weights, and that of the best tokens does not.",
        source="local convergence",
        on="alignment",
        departs=(FINITE,),
        rule=AllOf(_local(_W, "W"), _local(_KQ, "(K, Q)")),
    ),
    Claim(
        "C5",
        "Width makes the separation possible: from max(T − 1, n) dimensions on, generic tokens can be separated.",
        kind="theorem",
        source="theorem on separability under over-parameterisation",
        on="width",
        rule=Exact("infeasible_though_wide", 0.0, name="data sets without a separator at d ≥ max(T − 1, n)"),
    ),
    Claim(
        "C5g",
        "Width makes descent converge globally: in wide spaces it selects the best tokens.",
        source="section on over-parameterisation and global convergence",
        on="width",
        departs=(FINITE,),
        rule=AllOf(
            Slope("global", over="log2_d", inside=(0.0, 10.0), name=f"gain of {BEST} a doubling of d", why=GROWS),
            Above("global", 0.95, where={"d": 64}, name=f"share of {BEST}, d = 64", why="up to one run in twenty"),
        ),
    ),
    Claim(
        "C5b",
        "If all other tokens of a sequence are worth the same, the loss falls along the machine from every point, so "
        "there is no stationary point and descent ends at the best tokens.",
        kind="theorem",
        source="lemma on stationary points and theorem on global convergence",
        on="landscape",
        rule=AllOf(
            Exact("uphill", 0.0, where={"scores": "equal"}, name="share of random weights where it does not fall"),
            Exact("missed", 0.0, where={"scores": "equal"}, name="runs that end at other tokens"),
        ),
        note="Without equal worth it can rise; the trials with unequal scores show the share.",
    ),
    Claim(
        "C6",
        "With a nonlinear head several tokens stay: the weights are a finite part that fixes their ratios plus a "
        "multiple of a generalised machine, and both together describe them better than either machine alone.",
        source="section on nonlinear heads; official notebook on several tokens",
        on="several",
        departs=(
            FINITE,
            "only data sets in which some sequence keeps several tokens: without any, the machines coincide",
        ),
        rule=AllOf(
            Below("first", 0.0, name="log10 of 1 − correlation: with the finite part / without it"),
            Below("second", 0.0, name="log10 of 1 − correlation: generalised / one-token machine"),
        ),
        note="As in the official code, seeds with probabilities between 1e-6 and 1e-3 are left out, which are most.",
    ),
    Claim(
        "C7",
        "The machines have rank at most min(n, d), and the nuclear one has the lower rank.",
        source="lemma on the rank of solutions; official notebook on ranks",
        on="ranks",
        departs=(
            "singular values above 1e-5 of the largest at a gap of 1e-8; the official threshold is 1e-7 absolute",
        ),
        rule=AllOf(
            Exact("excess", 0.0, name="rank above min(n, d)", why="a bound holds in every case"),
            Above("difference", 0.0, where=_WIDE, name="rank of the Frobenius − of the nuclear machine, d ≥ 10"),
        ),
        reported="official notebook, T = 5, mean of 100 seeds, Frobenius and nuclear: n = d = 15: 15 and about 13.9; "
        "n = d = 10: 10 and about 9.1; n = 5, d = 20: 5 and about 5",
        note="The reported nuclear ranks count the noise of a first-order solver: solved to a gap of 1e-8 they are "
        "far lower.",
    ),
)
