"""Claims of arXiv 2501.13734: how many tasks it takes to tune one hyper-parameter."""

from datetime import date

from overparam.lab import Above, AllOf, Below, Claim, Exact, Paper, Slope

PAPER = Paper(
    slug="hyperparameter-sample-complexity",
    arxiv="2501.13734",
    published=date(2025, 1, 23),
    title=(
        "Sample complexity of data-driven tuning of model hyperparameters in neural networks with structured "
        "parameter-dependent dual function"
    ),
    author_count=3,
    order=26,
    topics=(
        "hyper-parameters",
        "generalisation",
    ),
    fidelity="paper",
    summary=(
        "How many tasks are needed to tune a hyper-parameter so that it works on new tasks of the same kind? The "
        "best achievable utility, as a function of one real parameter, is piecewise constant or polynomial with a"
        " bounded number of pieces, and that number bounds the sample size. Activation mixtures and graph kernels"
        " are examples."
    ),
)

VALIDATION = (
    "utility is accuracy on other examples than those of the training: outside the theorem, whose count of breaks "
    "still holds"
)
READOUT = "a ridge read-out on random features stands in for the trained network"
HARMONIC = "harmonic labels stand in for a two-layer graph network"
CONSTANTS = "the theorem states orders; constants are derived here"
EVERY = "in every task tried"

CLAIMS = (
    Claim(
        "C1",
        "The hyper-parameter with the best average over sampled tasks is nearly the best one for new tasks.",
        kind="theorem",
        source="abstract, problem setting",
        on="tasks",
        departs=(HARMONIC, VALIDATION),
        rule=AllOf(
            Exact(
                "over_twice", 1.0, name="shortfall over twice the deviation", why="the step from deviation to tuning"
            ),
            Below(
                "shortfall",
                0.01,
                where={"n": (8, 64)},
                name="shortfall at the most tasks",
                why="nearly the best: within one point of accuracy",
            ),
        ),
    ),
    Claim(
        "C2",
        "A task's utility jumps as the hyper-parameter moves, but no more often than an algebraic count of its pieces.",
        kind="theorem",
        source="section 3, piecewise constant case",
        on="duals",
        departs=(READOUT, HARMONIC, VALIDATION),
        rule=AllOf(
            Exact("over_bound", 1.0, name="breaks over their bound", why=EVERY),
            Above("breaks", 1.0, name="breaks of a task", why="volatile: more than a single jump"),
            Exact(
                "extra",
                0.0,
                name="breaks that bisection finds and the roots do not",
                why="the count is exact only if the roots miss none",
            ),
        ),
    ),
    Claim(
        "C2t",
        "The same holds when all of a small network is trained for every value.",
        source="section 3; activation interpolation",
        on="trained",
        departs=("finite gradient descent instead of the optimum over weights", VALIDATION),
        rule=AllOf(
            Above("breaks", 1.0, name="breaks of a task", why="volatile: more than a single jump"),
            Above(
                "share_found",
                0.95,
                name="jumps of a fine grid that bisection finds",
                why="structured: a few hundred trainings tell the whole curve; one in twenty may hide",
            ),
        ),
        note="Pairs of jumps that lie closer than the 33 points of the first grid escape the bisection.",
    ),
    Claim(
        "C2s",
        "When utility is the training objective, its local maxima are as few as the degrees of the polynomials allow.",
        kind="theorem",
        source="section 4, piecewise polynomial case",
        on="objective",
        departs=(READOUT,),
        rule=AllOf(
            Exact("over_bound", 1.0, name="local maxima over their bound", why=EVERY),
            Exact("below_grid", 1e-9, name="maximum below that of a fine grid", why="none may be missed"),
        ),
    ),
    Claim(
        "C3",
        "The largest deviation between the average over N tasks and the expected utility falls as one over the root "
        "of N.",
        kind="theorem",
        source="learnability from bounded oscillations, section 3",
        on="tasks",
        departs=(HARMONIC, VALIDATION, CONSTANTS),
        rule=AllOf(
            Slope(
                "log_deviation",
                over="log_n",
                inside=(-0.6, -0.4),
                name="exponent of the number of tasks",
                why="one half, a tenth either way for the finite number of test tasks",
            ),
            Exact("over_bound", 1.0, name="deviation over its bound", why="in every repetition"),
        ),
    ),
    Claim(
        "C3b",
        "Tasks that jump more often need more samples, but only as the logarithm of the number of jumps.",
        kind="theorem",
        source="pseudo-dimension O(log B), section 3",
        on="volatility",
        departs=(HARMONIC, VALIDATION),
        rule=Slope(
            "log_deviation",
            over="log_complexity",
            inside=(-10.0, 0.5),
            name="exponent of log breaks in the deviation",
            why="an upper bound with exponent 1/2: slower growth, and none, agree with it",
        ),
    ),
    Claim(
        "C4",
        "For mixtures of two activations the number of breaks grows at most polynomially with the size of the network.",
        kind="theorem",
        source="theorem on activation interpolation",
        on="architecture",
        departs=(READOUT, CONSTANTS, VALIDATION),
        rule=AllOf(
            Exact("over_bound", 1.0, where={"kind": "features"}, name="breaks over their bound", why=EVERY),
            Slope(
                "log_breaks",
                over="log_size",
                inside=(-10.0, 1.0),
                where={"kind": "features"},
                name="exponent of the width in the breaks",
                why="linear by the count of roots, which is far below the theorem",
            ),
        ),
    ),
    Claim(
        "C5",
        "For polynomial graph kernels the number of breaks grows polynomially with nodes and degree.",
        kind="theorem",
        source="theorem on graph kernels",
        on="architecture",
        departs=(HARMONIC, CONSTANTS, VALIDATION),
        rule=AllOf(
            Exact("over_bound", 1.0, where={"kind": "graph"}, name="breaks over their bound", why=EVERY),
            Slope(
                "log_breaks",
                over="log_size",
                inside=(-10.0, 2.0),
                where={"kind": "graph", "degree": (2, 4)},
                name="exponent of the free nodes in the breaks",
                why="their square by the count of roots",
            ),
        ),
    ),
)
