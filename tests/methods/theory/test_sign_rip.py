import math

import numpy as np
import pytest

from overparam.errors import BadInput
from overparam.methods.theory.sign_rip import directions, sign_rip
from overparam.methods.theory.symmetric_sensing import Noise, SymmetricSensing, robust_instance


def test_directions_are_averages_of_signed_matrices():
    rng = np.random.default_rng(0)
    a, s, x = rng.normal(size=(30, 5, 5)), rng.normal(size=30), rng.normal(size=(5, 5))
    x = x + x.T
    problem = SymmetricSensing(a, s, errors=s)
    signs = np.sign(np.einsum("mij,ij->m", a, x) - s)
    plain = np.einsum("m,mij->ij", signs, a) / 30
    np.testing.assert_allclose(directions(problem, x[None])[0], (plain + plain.T) / 2, atol=1e-12)


@pytest.mark.parametrize("noise", [Noise("none"), Noise("outlier", p=0.5, scale=30.0), Noise("gaussian", scale=2.0)])
def test_the_scaling_function_is_found_and_the_deviation_falls_as_the_root(noise):
    found = [sign_rip(robust_instance(6, 1, m, noise=noise, rng=0), rank=2, norm=2.0, rng=0) for m in (2_000, 32_000)]
    assert found[1].phi_hat == pytest.approx(found[1].phi_theory, rel=0.02)
    assert found[0].delta / found[1].delta == pytest.approx(4, rel=0.35)


def test_the_search_never_ends_below_random_ones_and_rank_adds():
    problem = robust_instance(6, 1, 500, rng=0)
    low, high = (sign_rip(problem, rank=k, rng=0) for k in (1, 6))
    for found in (low, high):
        assert found.delta >= found.delta_random
    assert high.delta > low.delta
    more = sign_rip(problem, rank=1, n_dirs=200, rng=np.random.default_rng(0))
    assert more.delta_random >= sign_rip(problem, rank=1, n_dirs=1, rng=0).delta_random


def test_the_dense_oracle_agrees_at_full_rank():
    problem = robust_instance(4, 1, 300, noise=Noise("none"), rng=1)
    rng = np.random.default_rng(5)
    x = rng.normal(size=(1, 4, 4))
    x = (x + x.transpose(0, 2, 1)) / 2
    x /= np.linalg.norm(x)
    expected = np.linalg.norm(directions(problem, x)[0] / problem.noise.phi(1.0) - x[0])
    assert sign_rip(problem, rank=4, n_dirs=1, rng=5).delta_random == pytest.approx(expected)


def test_an_unknown_law_is_measured_by_itself():
    problem = robust_instance(4, 1, 3_000, rng=0)
    problem.noise = None
    found = sign_rip(problem, rank=1, rng=0)
    assert math.isnan(found.phi_theory)
    assert found.delta < 0.3


def test_bad_input_is_named():
    problem = robust_instance(4, 1, 50, rng=0)
    for given in ({"rank": 0}, {"rank": 5}, {"rank": 1, "n_dirs": 0}, {"rank": 1, "norm": 0.0}):
        with pytest.raises(BadInput, match="give 1 <= rank <= 4"):
            sign_rip(problem, rng=0, **given)
    problem.errors = None
    with pytest.raises(BadInput, match="errors=None"):
        sign_rip(problem, rank=1, rng=0)
