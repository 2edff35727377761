"""Claims of arXiv 2310.02246: relaxation parameters that are learned while a sequence of systems is solved."""

from datetime import date

from overparam.lab import Above, AllOf, Below, Claim, Contrast, Departure, Exact, Paper, Slope

PAPER = Paper(
    slug="learning-to-relax",
    arxiv="2310.02246",
    published=date(2023, 10, 3),
    title="Learning to Relax: Setting Solver Parameters Across a Sequence of Linear System Instances",
    author_count=4,
    order=33,
    topics=("numerical linear algebra", "hyper-parameters"),
    fidelity="official code",
    code="https://github.com/mkhodak/learning-to-relax",
    summary=(
        "Linear systems often come in sequences, and the relaxation parameter of a solver decides how many "
        "iterations each takes. A bandit that sees only iteration counts comes to do as well as the best fixed "
        "parameter, and with a visible shift of the matrix as well as the best parameter for each system."
    ),
)

SHARED = Departure("one set of instances for all seeds, each in its own order; the paper draws fresh ones", tables=1)
SMALL = Departure("a 6 x 6 grid and 500 instances; the paper takes 10 x 10 and 5,000", size=6)
EXACT_STEPS = "each method meets the systems of the exact trajectory; in the paper each follows its own iterates"
BRIEF_HEAT = Departure("8 cells a side and 250 steps; the paper starts at 25 and takes 5,000", nx=8)
SEQUENCES = ("high", "low")
BLIND = {"policy": "tsallis"}
RUNS = "experiments with shifts of a grid Laplacian, section 4 and its figures"


def _below(metric: str, edge: float, policy: str, sequence: str, words: str, why: str = "") -> Below:
    return Below(
        metric, edge, where={"policy": policy, "sequence": sequence}, name=f"{sequence} variance: {words}", why=why
    )


SUBLINEAR = "sublinear: the regret an instance goes to zero"
TENTH = "a tenth, less than two steps of the grid off the best arm cost"
EXPLORES = "arms are 0.05 apart and inverse gap weighting never stops exploring: room of 15 % over a perfect choice"

CLAIMS = (
    Claim(
        "C1",
        "A bandit that sees nothing but iteration counts comes, over a sequence of systems, to the total cost of the "
        "best single omega in hindsight: its regret is sublinear.",
        source=f"abstract; theorem on Tsallis-INF; {RUNS}",
        on="policies",
        departs=(SHARED, SMALL),
        rule=AllOf(
            *(
                part
                for s in SEQUENCES
                for part in (
                    _below("exponent", 1.0, "tsallis", s, "exponent of the regret in the round", SUBLINEAR),
                    _below("over_fixed", 1.1, "tsallis", s, "last fifth / best fixed omega", TENTH),
                )
            )
        ),
    ),
    Claim(
        "C2",
        "Given the shift of each matrix, ChebCB asymptotically matches the policy that takes the best omega for each "
        "system.",
        source=f"abstract; theorem on ChebCB; {RUNS}",
        on="policies",
        departs=(SHARED, SMALL),
        rule=AllOf(
            *(
                part
                for s in SEQUENCES
                for part in (
                    _below("exponent_best", 1.0, "cheb", s, "exponent of the regret against the best arms", SUBLINEAR),
                    _below("over_best", 1.15, "cheb", s, "last fifth / best arm of each system", EXPLORES),
                    _below("over_formula", 1.15, "cheb", s, "last fifth / omega*(c) of the formula", EXPLORES),
                )
            )
        ),
    ),
    Claim(
        "C2a",
        "With the shift in view ChebCB does better than any fixed omega.",
        source=RUNS,
        on="policies",
        departs=(SHARED, SMALL),
        rule=AllOf(*(_below("over_fixed", 1.0, "cheb", s, "last fifth / best fixed omega") for s in SEQUENCES)),
    ),
    Claim(
        "C2b",
        "So does the simpler way, Tsallis-INF in bins of the shift.",
        source=RUNS,
        on="policies",
        departs=(SHARED, SMALL),
        rule=AllOf(*(_below("over_fixed", 1.0, "tsallis-cb", s, "last fifth / best fixed omega") for s in SEQUENCES)),
    ),
    Claim(
        "C3",
        "The number of sweeps is at most a near-asymptotic expression in the spectral radius, and the omega that "
        "minimises the expression is close to the best one.",
        kind="theorem",
        source="section 2, lemma on the near-asymptotic bound, and its figure",
        on="bound",
        departs=(Departure("6 x 6 grids", size=6),),
        rule=AllOf(
            Exact("shortfall", 0.0, name="sweeps above the bound", why="a bound holds in every cell"),
            Exact("distance", 0.05, name="bound's minimiser − nearest best omega", why="one step of the grid of arms"),
        ),
        note="tau is the largest normalised gap over all omegas of the system, each at its own count, as defined.",
    ),
    Claim(
        "C4",
        "An adversarial right-hand side makes the count jump over omega; for random ones its mean is smooth.",
        source="section 3, motivation of semi-stochastic analysis, and its figure",
        on="right_hand_side",
        rule=AllOf(
            Exact("dip", 0.5, name="eigenvector: count at 1.40 / nearest at 1.39 and 1.41", why="half of both: a jump"),
            Exact("around", 0.1, name="random: |change| of the mean over the same steps", why="a fifth of that jump"),
        ),
        note="The eigenvector is that of the smallest eigenvalue of the iteration at omega 1.4.",
    ),
    Claim(
        "C5",
        "The same learners tune the preconditioner of conjugate gradients along a simulation: fewer iterations than "
        "plain conjugate gradients, than omega = 1 and than most fixed omegas.",
        source="section 4, two-dimensional heat equation",
        on="heat",
        departs=(EXACT_STEPS, BRIEF_HEAT),
        rule=AllOf(
            *(
                part
                for p, name in (("tsallis", "Tsallis-INF"), ("cheb", "ChebCB"))
                for part in (
                    Below("over_plain", 1.0, where={"policy": p}, name=f"{name} / plain conjugate gradients"),
                    Below("over_one", 1.0, where={"policy": p}, name=f"{name} / omega = 1"),
                    Above(
                        "beaten", 0.5, where={"policy": p}, name=f"share of five fixed omegas that {name} beats",
                        why="most: more than half of 1, 1.3, 1.5, 1.75 and 1.95",
                    ),
                )
            )
        ),
    ),
    Claim(
        "C5a",
        "The context helps: ChebCB takes the fewest iterations of the learners.",
        source="section 4, two-dimensional heat equation",
        on="heat",
        departs=(EXACT_STEPS, BRIEF_HEAT),
        rule=AllOf(
            *(
                Contrast(
                    "cost", treat={"policy": "cheb"}, against={"policy": p}, below=0.0, name=f"ChebCB − {name}",
                    unit="iterations a step",
                )
                for p, name in (("tsallis", "Tsallis-INF"), ("tsallis-cb", "Tsallis-INF-CB"))
            )
        ),
        note="Seeds differ in the coins alone. Laptop scale has grids of 25 and 50 cells, the paper up to 400.",
    ),
    Claim(
        "C5w",
        "It does so in less time than fixed defaults, the learning included.",
        source="section 4, figure of wall-clock times",
        untestable="seconds differ from machine to machine and from run to run, and a trial has to give the same "
        "numbers everywhere; benchmarks/learning_to_relax.py times solves and learners",
    ),
    Claim(
        "C6",
        "Learning adds no work that grows with the matrices or with the sequence: what a learner keeps and works on "
        "depends on the number of omegas and polynomials alone.",
        kind="identity",
        source="section 1, contributions; complexity remarks",
        on="overhead",
        rule=AllOf(
            *(
                Slope(
                    "numbers_kept", over=over, inside=(-1e-9, 1e-9), where={"learner": k},
                    name=f"{name}: growth of what it keeps with the {words}", why="none, up to rounding of the fit",
                )
                for k, name in (("tsallis", "Tsallis-INF"), ("cheb", "ChebCB"))
                for over, words in (("rows", "rows of the matrix"), ("rounds", "rounds"))
            )
        ),
        note="Seconds a round at three sizes are in the benchmarks.",
    ),
    Claim(
        "C7",
        "All this needs no grid: it holds for shifts of a real matrix as well.",
        source="section 1: any matrix whose shifts are positive definite; the paper's runs take grids",
        on="real_matrix",
        departs=("494_bus, an American power network, scaled to a unit diagonal; the paper takes no real matrix",),
        rule=AllOf(
            Below("exponent", 1.0, where=BLIND, name="Tsallis-INF: exponent of the regret", why=SUBLINEAR),
            Below("over_fixed", 1.1, where=BLIND, name="Tsallis-INF: last fifth / best fixed omega", why=TENTH),
            Below("over_fixed", 1.0, where={"policy": "cheb"}, name="ChebCB: last fifth / best fixed omega"),
            Below("over_best", 1.15, where={"policy": "cheb"}, name="ChebCB: last fifth / best arm", why=EXPLORES),
        ),
    ),
)  # fmt: skip
