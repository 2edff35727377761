import numpy as np
import pytest
from scipy.integrate import solve_ivp

from overparam.errors import BadInput
from overparam.methods.theory.deep_linear import deep_linear_mode

TIMES = np.array([0.0, 0.5, 3.0, 20.0, 100.0])
RATE, END = np.array([0.01, 0.5, 2.0]), np.array([1.3, -0.7, 0.0005])


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_it_solves_its_differential_equation(depth):
    found = deep_linear_mode(TIMES, RATE, END, start=0.01, depth=depth)
    size = np.abs(END)
    slow = solve_ivp(
        lambda _, u: depth * np.abs(u) ** (2 - 2 / depth) * RATE * (size - u),
        (0, 100), np.full(3, 0.01), t_eval=TIMES, rtol=1e-11, atol=1e-13, method="LSODA",
    )  # fmt: skip
    np.testing.assert_allclose(found, (np.sign(END)[:, None] * slow.y).T, atol=2e-6)


def test_it_is_the_descent_of_layers_that_start_alike():
    layers, rate, end = np.full(3, 0.2), 0.7, 1.5
    for _ in range(20_000):  # half the sum of squares rate (prod a - end)^2 / 2, by small steps up to time 2
        layers = layers - 1e-4 * rate * (np.prod(layers) - end) * np.prod(layers) / layers
    found = deep_linear_mode([2.0], [rate], [end], start=0.2**3, depth=3)
    assert found[0, 0] == pytest.approx(np.prod(layers), rel=1e-3)


def test_more_layers_start_later_and_end_alike():
    half = [
        int((deep_linear_mode(np.linspace(0, 80, 800), [0.5], [1.0], start=1e-3, depth=d) < 0.5).sum())
        for d in (1, 2, 3, 4)
    ]
    assert half == sorted(half)
    assert len(set(half)) == 4
    for d in (1, 2, 3, 4):
        assert deep_linear_mode([1e4], [0.5], [1.0], start=1e-3, depth=d)[0, 0] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"t": [-1.0]}, "t of shape"),
        ({"t": [np.inf]}, "t of shape"),
        ({"eigenvalue": [0.0]}, "pass equal lengths, positive values"),
        ({"target": [1.0, 2.0]}, "pass equal lengths"),
        ({"start": 0.0}, "start=0.0"),
        ({"depth": 0}, "depth=0"),
    ],
)
def test_arguments_are_checked(given, says):
    with pytest.raises(BadInput, match=says):
        deep_linear_mode(**{"t": [1.0], "eigenvalue": [1.0], "target": [1.0], "start": 0.1, "depth": 2, **given})
