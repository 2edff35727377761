"""The lab: claims, rules and experiments, and the engine that turns them into evidence.

What a paper needs is re-exported here. Importing this package loads neither torch nor pandas.
"""

from overparam.lab.artefacts import artefact
from overparam.lab.experiment import Drawing, Progress, Seeds, experiment, figure, first_available, grid
from overparam.lab.judgement import Part, Region
from overparam.lab.model import Claim, Departure, Paper, Verdict
from overparam.lab.rules import (
    Above,
    AllOf,
    Below,
    Between,
    Computed,
    Contrast,
    Correlation,
    Equivalent,
    Estimated,
    Exact,
    Ratio,
    Slope,
)
from overparam.lab.trials import Trials

__all__ = [
    "Above",
    "AllOf",
    "Below",
    "Between",
    "Claim",
    "Computed",
    "Contrast",
    "Correlation",
    "Departure",
    "Drawing",
    "Equivalent",
    "Estimated",
    "Exact",
    "Paper",
    "Part",
    "Progress",
    "Ratio",
    "Region",
    "Seeds",
    "Slope",
    "Trials",
    "Verdict",
    "artefact",
    "experiment",
    "figure",
    "first_available",
    "grid",
]
