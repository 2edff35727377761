import numpy as np
import pytest
import torch

from overparam.errors import BadInput, Diverged
from overparam.methods.theory.factor_descent import Rebalance, factor_gd, rebalance_
from overparam.methods.theory.matrix_sensing import MatrixSensing, gaussian_sensing, low_rank_target
from overparam.methods.theory.rates import fit_rate

RNG = np.random.default_rng(0)
N = 12
PROBLEM = MatrixSensing((N, N)).observe(low_rank_target(N, N, singular_values=(1, 1), psd=True, rng=1))


def asymmetric(problem=PROBLEM, k=4, steps=200, **more):
    return factor_gd(problem, k, parametrization="asymmetric", **{"lr": 0.1, "init_scale": 0.5, "steps": steps, **more})


def product(path):
    return path.factors[0] @ path.factors[1].transpose(0, 2, 1)


def test_the_right_width_converges_to_the_target():
    path = factor_gd(PROBLEM, 2, lr=0.1, init_scale=0.5, steps=2000, seeds=range(3))
    assert path.err2[:, -1].max() < 1e-28
    assert path.steps[-1] < 2000  # stopped at the floor


def test_too_wide_follows_the_scalar_recursion():
    path = factor_gd(PROBLEM, 4, lr=0.1, init_scale=0.5, steps=12_000, seeds=range(3))
    np.testing.assert_allclose(12_000**2 * path.err2[:, -1], 2 / (4 * 0.1**2), rtol=0.02)
    late = fit_rate(path.steps, path.err2[0], "power", steps_within=(3_000, 12_000))
    assert late.slope.estimate == pytest.approx(-2, abs=0.03)


def test_one_by_one_with_nothing_to_find_is_the_scalar_recursion():
    path = factor_gd(MatrixSensing((1, 1)).observe(np.zeros((1, 1))), 1, lr=0.1, init_scale=0.7, steps=5, records=50)
    x = 0.7 * np.random.default_rng(0).normal(0.0, 1.0, (1, 1))[0, 0]
    for value in path.err2[0]:
        assert value == pytest.approx(x**4, rel=1e-12)
        x = x - 0.1 * x**3


@pytest.mark.parametrize("operator", [False, True])
def test_updates_are_those_of_autograd_and_simultaneous(operator):
    problem = gaussian_sensing(N, N, 60, 0).observe(PROBLEM.target) if operator else PROBLEM
    one, two = (asymmetric(problem, steps=s, seeds=(3,)) for s in (1, 2))
    f, g = (torch.tensor(x[0], requires_grad=True) for x in one.factors)
    a = None if problem.operator is None else torch.from_numpy(problem.operator)
    seen = f @ g.T if a is None else torch.einsum("mij,ij->m", a, f @ g.T)
    (0.5 * (seen - torch.from_numpy(problem.observed)).square().sum()).backward()
    np.testing.assert_allclose(two.factors[0][0], (f - 0.1 * f.grad).detach(), atol=1e-13)
    np.testing.assert_allclose(two.factors[1][0], (g - 0.1 * g.grad).detach(), atol=1e-13)


def test_equal_factors_make_the_symmetric_descent():
    two = asymmetric(imbalance=0, seeds=range(2))
    one = factor_gd(PROBLEM, 4, lr=0.1, init_scale=0.5, steps=200, seeds=range(2))
    np.testing.assert_allclose(product(two), product(one), atol=1e-12)


def test_the_imbalance_is_conserved_up_to_second_order_in_the_step():
    drift = []
    for lr in (0.02, 0.01):
        path = asymmetric(lr=lr, steps=round(2 / lr), records=4)
        drift.append(np.abs(path.imbalance_eigs[0, -1] - path.imbalance_eigs[0, 0]).max())
    assert drift[0] / drift[1] == pytest.approx(2, rel=0.15)  # over a fixed time the sum of O(lr²) is O(lr)


def test_seeds_together_are_seeds_one_by_one():
    together = asymmetric(seeds=(0, 1, 2))
    for i, seed in enumerate((0, 1, 2)):
        alone = asymmetric(seeds=(seed,))
        np.testing.assert_array_equal(together.factors[0][i], alone.factors[0][0])
        np.testing.assert_array_equal(together.err2[i], alone.err2[0])


def test_records_do_not_grow_with_steps():
    path = factor_gd(PROBLEM, 4, lr=0.1, init_scale=0.5, steps=3000, records=50)
    assert len(path.steps) <= 50
    assert path.steps[0] == 0
    assert path.steps[-1] == 3000


def test_rebalancing_keeps_the_product_and_equalises_f():
    f, g = RNG.normal(size=(9, 4)), RNG.normal(size=(7, 4))
    before = f @ g.T
    conditions = rebalance_(f, g, 0.5)
    np.testing.assert_allclose(f @ g.T, before, atol=1e-12)
    np.testing.assert_allclose(np.linalg.svd(f)[1], 0.5, atol=1e-12)
    assert min(conditions) > 1


def test_rebalancing_works_in_place_on_parameters():
    layers = torch.nn.Linear(4, 9, bias=False).double(), torch.nn.Linear(4, 7, bias=False).double()
    f, g = (layer.weight for layer in layers)
    before = (f @ g.T).detach().clone()
    rebalance_(f, g, 2.0)
    assert f is layers[0].weight
    assert f.requires_grad
    torch.testing.assert_close((f @ g.T).detach(), before, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(torch.linalg.svdvals(f.detach()), torch.full((4,), 2.0, dtype=torch.float64))


def test_a_rank_deficient_factor_needs_pseudo():
    f, g = RNG.normal(size=(6, 3)), RNG.normal(size=(5, 3))
    f[:, 2] = f[:, 0]
    before = f @ g.T
    with pytest.raises(BadInput, match="rank 2 of 3; pass pseudo=True"):
        rebalance_(f.copy(), g.copy(), 1.0)
    rebalance_(f, g, 1.0, pseudo=True)
    np.testing.assert_allclose(f @ g.T, before, atol=1e-12)
    np.testing.assert_allclose(np.linalg.svd(f)[1], [1, 1, 0], atol=1e-12)


def test_one_step_makes_the_rate_independent_of_the_start():
    rates = []
    for scale in (0.5, 0.1):
        path = asymmetric(steps=1500, init_scale=scale, rebalance=Rebalance(0.5), seeds=range(2))
        assert (path.rebalance_step > 0).all()
        window = {"steps_within": (path.rebalance_step[0] + 1, 1500), "error_within": (1e-20, 1e-4)}
        rates.append(fit_rate(path.steps, path.err2[0], "exp", **window).slope.estimate)
    assert rates[0] == pytest.approx(-2 * 0.1 * 0.5**2, rel=0.15)
    assert rates[0] / rates[1] == pytest.approx(1, rel=0.1)


def test_a_stall_can_set_it_off():
    path = asymmetric(steps=1500, init_scale=0.1, rebalance=Rebalance(0.5, ("stall", 30)))
    assert path.rebalance_step[0] >= 30
    for scale in (0.03, 0.01):  # not on the plateau of the start, where nothing has been learned
        path = asymmetric(steps=3000, init_scale=scale, rebalance=Rebalance(0.5, ("stall", 30)), records=3000)
        at = int(np.searchsorted(path.steps, path.rebalance_step[0]))
        assert path.rebalance_step[0] > 0
        assert path.train_loss[0, at] < 0.5 * path.train_loss[0, 0]


@pytest.mark.parametrize(
    ("beta", "trigger"), [(-1.0, ("loss", 0.1)), (0.5, ("lozz", 0.1)), (0.5, ("loss", 2.0)), (0.5, ("stall", 0))]
)
def test_a_rebalancing_is_checked_when_it_is_asked_for(beta, trigger):
    with pytest.raises(BadInput, match="beta=|trigger="):
        Rebalance(beta, trigger)


def test_other_ways_of_descending_reach_the_target():
    for method in ("scaled", "regularised"):
        path = asymmetric(steps=1500, method=method)
        assert path.err2[0, -1] < 1e-4, method


def test_divergence_names_the_step():
    with pytest.raises(Diverged, match=r"by step \d+; lr=5.0 is too large, try 1.25"):
        asymmetric(lr=5.0)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"k": 0}, "k=0"),
        ({"lr": 0.0}, "lr=0.0"),
        ({"lr": float("nan")}, "lr=nan"),
        ({"steps": 0}, "steps=0"),
        ({"init_scale": -1.0}, "init_scale=-1.0"),
        ({"method": "newton"}, "method='newton' is unknown"),
    ],
)
def test_arguments_are_checked(given, says):
    with pytest.raises(BadInput, match=says):
        asymmetric(**given)


def test_symmetric_factors_need_equal_sides_and_nothing_to_balance():
    wide = MatrixSensing((3, 4)).observe(np.zeros((3, 4)))
    with pytest.raises(BadInput, match="use parametrization='asymmetric'"):
        factor_gd(wide, 2, lr=0.1, init_scale=0.1, steps=3)
    with pytest.raises(BadInput, match="nothing to balance"):
        factor_gd(PROBLEM, 2, lr=0.1, init_scale=0.1, steps=3, rebalance=Rebalance(0.5))
    with pytest.raises(BadInput, match="beta=0 is not positive"):
        rebalance_(np.eye(2), np.eye(2), 0)
    with pytest.raises(BadInput, match="give equal columns"):
        rebalance_(np.ones((3, 2)), np.ones((3, 3)), 1)
