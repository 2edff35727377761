import numpy as np
import pytest
from scipy.optimize import minimize

from overparam.errors import BadInput
from overparam.methods.theory.attention_svm import attention_svm, correlation, norm_of
from overparam.methods.theory.attention_training import attention_gradient, token_scores
from overparam.methods.theory.regularization_path import project_frobenius, project_nuclear, regularization_path


def batch(r=4, n=2, tokens=3, d=3):
    rng = np.random.default_rng(0)
    return (
        rng.normal(size=(r, n, tokens, d)),
        rng.choice([-1.0, 1.0], (r, n)),
        rng.normal(size=(r, n, d)),
        rng.normal(size=(r, d)),
    )


@pytest.mark.parametrize(("project", "norm"), [(project_frobenius, "fro"), (project_nuclear, "nuc")])
def test_projections_are_nearest_points(project, norm):
    rng = np.random.default_rng(0)
    W = 2 * rng.normal(size=(3, 4, 5))
    P = project(W, 1.5)
    for w, p in zip(W, P, strict=True):
        assert norm_of(p, norm) == pytest.approx(1.5)
        for _ in range(50):
            other = rng.normal(size=(4, 5))
            other *= 1.5 / norm_of(other, norm)
            assert ((w - p) * (other - p)).sum() <= 1e-9  # the condition of a projection on a convex set
    np.testing.assert_allclose(project(P / 2, 1.5), P / 2, atol=1e-12)


def test_a_small_ball_has_the_optimum_of_a_general_solver():
    X, Y, z, v = batch(1)
    found = regularization_path(X, Y, z, v, radii=[1.0], steps=2000)

    def loss(w):
        return attention_gradient(X, Y, z, v, w.reshape(1, 3, 3))[2][0]

    peer = minimize(loss, np.zeros(9), constraints={"type": "ineq", "fun": lambda w: 1 - w @ w}, method="SLSQP")
    assert found.loss[0, 0] == pytest.approx(peer.fun, abs=1e-5)
    assert norm_of(found.weights[0, 0], "fro") == pytest.approx(1)


@pytest.mark.parametrize("norm", ["fro", "nuc"])
def test_the_direction_approaches_the_machine_of_the_best_tokens(norm):
    X, Y, z, v = batch()
    best = token_scores(X, Y, v).argmax(-1)
    machines = np.stack([attention_svm(X[r], z[r], best[r], norm=norm).W for r in range(4)])
    start = (
        machines
        + np.abs(machines).max((1, 2), keepdims=True) * np.random.default_rng(1).normal(size=machines.shape) / 2
    )
    found = regularization_path(X, Y, z, v, radii=[1.0, 8.0, 64.0], norm=norm, starts=[start])
    gaps = np.array([[1 - correlation(found.weights[k, r], machines[r]) for r in range(4)] for k in range(3)])
    assert (gaps[2] < 1e-2).all()
    assert (gaps[2] < gaps[0]).all()
    assert (np.diff(found.loss, axis=0) <= 1e-12).all()
    for k, radius in enumerate(found.radii):
        assert max(norm_of(W, norm) for W in found.weights[k]) <= radius * (1 + 1e-9)


def test_of_several_starts_the_smallest_loss_is_kept():
    X, Y, z, v = batch()
    one = regularization_path(X, Y, z, v, radii=[1.0, 30.0], steps=50)
    two = regularization_path(
        X, Y, z, v, radii=[1.0, 30.0], steps=50, starts=[np.random.default_rng(0).normal(size=(4, 3, 3))]
    )
    assert (two.loss[0] <= one.loss[0] * (1 + 1e-12)).all()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"radii": []}, "radii="),
        ({"radii": [2.0, 1.0]}, "ascending"),
        ({"radii": [-1.0]}, "positive"),
        ({"steps": 0}, "steps=0"),
        ({"norm": "op"}, "norm='op'"),
        ({"starts": [np.zeros((4, 2, 2))]}, r"starts \[\(4, 2, 2\)\]"),
        ({"v": np.zeros((4, 9))}, "head has shapes"),
    ],
)
def test_arguments_are_checked(change, says):
    X, Y, z, v = batch()
    with pytest.raises(BadInput, match=says):
        regularization_path(**{"X": X, "Y": Y, "z": z, "v": v, "radii": [1.0], **change})
