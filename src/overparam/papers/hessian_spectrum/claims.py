"""Claims of arXiv 1706.04454: a flat bulk, a few outliers, and one basin for small and large batches."""

import math
from datetime import date

from overparam.lab import Above, AllOf, Below, Claim, Correlation, Departure, Exact, Paper, Slope

PAPER = Paper(
    slug="hessian-spectrum",
    arxiv="1706.04454",
    published=date(2017, 6, 14),
    title="Empirical Analysis of the Hessian of Over-Parametrized Neural Networks",
    authors=("Levent Sagun", "Utku Evci", "V. Ugur Guney", "Yann Dauphin", "Leon Bottou"),
    author_count=5,
    order=9,
    topics=("loss landscape",),
    fidelity="reconstruction",
    summary=(
        "At the end of training the Hessian of a wide network has nearly all its eigenvalues at zero and a few "
        "large ones. More parameters add to the bulk, other data change the few. Solutions of small and large "
        "batches turn out to lie in one connected basin, which calls the picture of isolated minima into "
        "question."
    ),
)

DIGITS = Departure(
    "400 digits of 8 x 8 pixels and at most 1,810 weights; the paper takes 1,000 of MNIST", data="digits"
)
FEW = Departure(
    "at most 60 digits of 8 x 8 pixels and 1,810 weights, so that all matrices can be formed", data="digits"
)
SMALL = Departure("at most 2,501 weights, so that all eigenvalues are exact", dimension=20)
PERCEPTRON = Departure("1,000 digits and a perceptron; the paper trains a convolutional network on CIFAR-10")
SUBSET = Departure("5,000 images and a small network; the paper trains on all of CIFAR-10", n=5000)
SETUP = "sizes and training schedules are ours where the sources we read do not fix them"
TRUE, OVER = {"labels": "true"}, {"width": (12, 24, 36, 48, 96, 384, 960)}

CONNECTED = AllOf(
    Above("barrier_other", 0.23, name="barrier to a run from another start", why="the control must show one: a tenth "
          "of the loss of guessing among ten classes"),
    Below("barrier_share", 0.05, name="barrier large to small batch, over that of the control",
          why="no barrier: a twentieth of what separates two basins"),
    Above("distance_share", 0.1, name="distance large to small batch, over that of the control",
          why="a path between nearly the same weights would be flat for no reason"),
)  # fmt: skip


def _in_top(where: dict[str, str] | None) -> Above:
    name = "squared gradient within the K leading eigenvectors"
    return Above("gradient_share", 0.5, where=where, name=name, why="mostly: more than half")


CLAIMS = (
    Claim(
        "C1",
        "After training nearly all eigenvalues lie at zero and a few stand out, one less than there are classes.",
        source="abstract; arXiv 1611.07476 for the number of classes",
        on="spectrum",
        departs=(DIGITS, SETUP),
        rule=AllOf(
            Above("near_zero_share", 0.8, where=TRUE, name="share below a thousandth of the largest",
                  why="nearly all: four in five; with barely more weights than examples it cannot be much more"),
            Above("contrast", 0.0, where=TRUE, name="log gap behind K − 1, less the mean of the ten next"),
            Above("log_ratio", math.log(1.5), where=TRUE, name="log of eigenvalue K − 1 over eigenvalue K",
                  why="a cliff one sees: a step of half again, where neighbours in the bulk differ by about a tenth"),
            Above("largest_gap", 0.5, where={**TRUE, "classes": 10}, name="ten classes: largest gap at 9",
                  unit="of the networks", why="in most networks"),
            Above("largest_gap", 0.5, where={**TRUE, "classes": 5}, name="five classes: largest gap at 4",
                  unit="of the networks", why="in most networks: the gap moves with the classes"),
        ),
        note="The leading eigenvalue often stands alone, so the largest gap is looked for among indices 2 to 25. "
        "Departure: the paper counts by eye.",
    ),
    Claim(
        "C2",
        "With the data fixed, more parameters only add to the bulk at zero; the outliers stay where they are.",
        source="abstract",
        on="width",
        departs=(SMALL, SETUP),
        rule=AllOf(
            Slope("log_outliers", over="log_parameters", inside=(-0.25, 0.25), where=OVER,
                  name="exponent of the K − 1 outliers in the number of parameters",
                  why="twice the parameters move them by less than a fifth"),
            Slope("near_zero_share", over="log_parameters", inside=(0.0, math.inf), where=OVER,
                  name="slope of the share near zero over log parameters"),
        ),
        note="All networks stop at the same loss, 0.02: outliers shrink with the loss, so a comparison at equal steps "
        "would compare losses. Networks with fewer weights than examples are shown, not judged.",
    ),
    Claim(
        "C3",
        "With the network fixed, the data decide the outliers: as many as there are clusters, or one less.",
        source="abstract",
        on="clusters",
        departs=(SMALL, SETUP),
        rule=AllOf(
            Correlation("clusters", "above_edge", above=0.0, name="rank correlation of clusters and outliers"),
            Above("counted", 0.5, name="largest gap at k − 1 or k", unit="of the networks", why="in most networks"),
        ),
    ),
    Claim(
        "C3b",
        "With the network fixed, other data leave the bulk as it is.",
        source="abstract",
        on="clusters",
        departs=(SMALL, SETUP),
        rule=AllOf(
            Slope("log_bulk", over="log_clusters", inside=(-0.29, 0.29), name="exponent of the median in clusters",
                  why="within a factor of 1.5 from 2 to 8 clusters: log 1.5 / log 4"),
            Slope("log_bulk", over="log_separation", inside=(-0.37, 0.37), name="exponent of the median in separation",
                  why="within a factor of 1.5 from the closest to clusters three times as far: log 1.5 / log 3"),
        ),
        note="The bulk is measured by the median magnitude of the eigenvalues, at equal loss.",
    ),
    Claim(
        "C4",
        "The Hessian is the sum of a Gauss-Newton part of rank at most n (K − 1) and a residual, so with more weights "
        "than that the first part has to be singular.",
        kind="theorem",
        source="section on the decomposition of the Hessian",
        on="decomposition",
        departs=(FEW,),
        rule=AllOf(
            Exact("split_error", 1e-8, name="largest |H − G − R| over the largest |H|",
                  why="equal in exact arithmetic; rounding in double precision leaves far less"),
            Exact("rank_excess", 0.0, name="rank of G above n (K − 1)"),
        ),
    ),
    Claim(
        "C4b",
        "The residual fades with training, and the outliers come from the Gauss-Newton part.",
        source="section on the decomposition of the Hessian",
        on="decomposition",
        departs=(FEW, SETUP),
        rule=AllOf(
            Below("residual_change", 0.0, name="log of |R| / |H| at the end, less at the start"),
            Above("overlap", 0.95, name="overlap of the K − 1 leading directions of G and H",
                  why="the same space up to a twentieth"),
        ),
    ),
    Claim(
        "C5",
        "Training ends at no isolated minimum: negative eigenvalues remain, but they are tiny.",
        source="abstract; discussion",
        on="spectrum",
        departs=(DIGITS, SETUP),
        rule=AllOf(
            Above("negative_share", 0.0, where=TRUE, name="share below minus a millionth of the largest"),
            Below("negative_ratio", 0.01, where=TRUE, name="|smallest| over largest",
                  why="tiny: two orders of magnitude below the largest"),
        ),
        note="That the picture of wide and narrow basins needs revision is an interpretation and is not judged.",
    ),
    Claim(
        "C6",
        "From a solution of large batches, small batches lead to another point of the same basin: no barrier between.",
        source="abstract; section on small and large batches",
        on="basins",
        departs=(PERCEPTRON, SETUP),
        rule=CONNECTED,
        note="Small batches from the same start, without the large ones before, are shown too: where they also meet no "
        "barrier, the finding says 'same basin from a shared start' and no more.",
    ),
    Claim(
        "C6i",
        "The same holds for a convolutional network on images.",
        source="section on small and large batches",
        on="basins_images",
        departs=(SUBSET, SETUP),
        rule=CONNECTED,
    ),
    Claim(
        "C6a",
        "The point that small batches reach classifies new images better.",
        source="section on small and large batches",
        on="basins_images",
        departs=(SUBSET, SETUP),
        rule=Above("accuracy_gain", 0.0, name="test accuracy, small − large batch", unit="points"),
    ),
    Claim(
        "C7",
        "The gradient lies mostly along the few leading eigenvectors.",
        source="discussion of eigenvalues and the speed of descent; made exact by later work (arXiv 1812.04754)",
        on="basins",
        departs=(PERCEPTRON, SETUP),
        rule=_in_top(None),
        note="Measured at the large-batch solution, which plain descent has reached.",
    ),
    Claim(
        "C7a",
        "The same holds after training by Adam.",
        source="our extension of C7",
        on="spectrum",
        departs=(DIGITS, SETUP),
        rule=_in_top(TRUE),
        note="Adam divides the gradient by its size weight by weight, so it descends along other directions.",
    ),
)  # fmt: skip
