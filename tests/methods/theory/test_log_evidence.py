import numpy as np
import pytest
from scipy.stats import multivariate_normal

from overparam.errors import BadInput
from overparam.methods.theory.log_evidence import log_evidence_ti


def test_the_evidence_of_a_linear_regression_is_found():
    rng = np.random.default_rng(0)
    x, n = rng.standard_normal((30, 3)), 30
    y = x @ [1.0, -1.0, 0.5] + rng.standard_normal(n)
    exact = multivariate_normal(np.zeros(n), x @ x.T + np.eye(n)).logpdf(y)

    def samples(beta):
        precision = beta * x.T @ x + np.eye(3)
        theta = rng.multivariate_normal(
            np.linalg.solve(precision, beta * x.T @ y), np.linalg.inv(precision), size=4_000
        )
        return -0.5 * ((y - theta @ x.T) ** 2).sum(1) - 0.5 * n * np.log(2 * np.pi)

    found = log_evidence_ti(samples)
    assert found.low - 0.05 < exact < found.high + 0.05
    assert found.high - found.low < 1


@pytest.mark.parametrize(
    ("settings", "values", "said"),
    [
        ({"points": 4}, [1.0, 2.0], "points=4"),
        ({"power": 0.5}, [1.0, 2.0], "power=0.5"),
        ({}, [1.0], "1 samples"),
        ({}, [1.0, np.nan], "finite"),
    ],
)
def test_bad_input_is_named(settings, values, said):
    with pytest.raises(BadInput, match=said):
        log_evidence_ti(lambda beta: values, **settings)
