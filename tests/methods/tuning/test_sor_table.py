import numpy as np
import pytest
from scipy.sparse import csr_array, random_array

from overparam.errors import BadInput, Diverged
from overparam.methods.tuning import sor_table
from overparam.methods.tuning.heat import bump, diffusion, heat_steps
from overparam.methods.tuning.relaxation import Stencil5, sor, ssor_pcg
from overparam.methods.tuning.sequence import instances
from overparam.methods.tuning.sor_table import sor_cost_table, ssor_pcg_cost_table

ARMS = np.linspace(1.0, 1.9, 4)


def spd(n, seed):
    rng = np.random.default_rng(seed)
    off = random_array((n, n), density=0.1, rng=rng, data_sampler=rng.standard_normal)
    off = off + off.T
    return csr_array(off + np.diag(np.abs(off).sum(1) + rng.uniform(0.1, 1.0, n)))


@pytest.mark.parametrize("matrix", [Stencil5(5), spd(30, 0)], ids=["grid", "random"])
def test_tables_hold_the_counts_of_single_solves(matrix):
    n = 25 if isinstance(matrix, Stencil5) else 30
    rng = np.random.default_rng(3)
    shifts, rhs = rng.uniform(0.05, 0.5, 6), rng.standard_normal((6, n))
    dense = matrix.matrix().toarray() if isinstance(matrix, Stencil5) else matrix.toarray()
    for table, one in ((sor_cost_table, sor), (ssor_pcg_cost_table, ssor_pcg)):
        singles = [
            [one(dense + c * np.eye(n), b, w).iterations for w in ARMS] for c, b in zip(shifts, rhs, strict=True)
        ]
        np.testing.assert_array_equal(table(matrix, shifts, rhs, ARMS), singles)


def test_batches_and_order_change_nothing(monkeypatch):
    shifts, rhs = instances("high", 12, 25, np.random.default_rng(0))
    whole = sor_cost_table(Stencil5(5), shifts, rhs, ARMS)
    turned = np.random.default_rng(1).permutation(12)
    np.testing.assert_array_equal(sor_cost_table(Stencil5(5), shifts[turned], rhs[turned], ARMS), whole[turned])
    monkeypatch.setattr(sor_table, "BATCH", 1)
    monkeypatch.setattr(sor_table, "WIDTH", 5)
    np.testing.assert_array_equal(sor_cost_table(Stencil5(5), shifts, rhs, ARMS), whole)


def test_omegas_of_their_own_for_each_system():
    shifts, rhs = instances("low", 4, 25, np.random.default_rng(0))
    own = np.array([[1.0], [1.2], [1.5], [1.9]])
    found = sor_cost_table(Stencil5(5), shifts, rhs, own)[:, 0]
    np.testing.assert_array_equal(found, sor_cost_table(Stencil5(5), shifts, rhs, own[:, 0]).diagonal())


def test_starts_count_towards_the_size_of_b_and_zero_takes_nothing():
    x = np.random.default_rng(0).standard_normal((2, 25))
    rhs = np.stack([Stencil5(5, c).matrix() @ v for c, v in zip((0.1, 0.2), x, strict=True)])
    assert (ssor_pcg_cost_table(Stencil5(5), [0.1, 0.2], rhs, ARMS, starts=x) == 0).all()
    near = ssor_pcg_cost_table(Stencil5(5), [0.1, 0.2], rhs, ARMS, starts=x + 1e-4)
    single = [
        [ssor_pcg(Stencil5(5, c), b, w, v + 1e-4).iterations for w in ARMS]
        for c, b, v in zip((0.1, 0.2), rhs, x, strict=True)
    ]
    np.testing.assert_array_equal(near, single)
    assert (sor_cost_table(Stencil5(5), [0.1], np.zeros(25), ARMS) == 0).all()


def test_omega_towards_zero_is_plain_conjugate_gradients():
    from scipy.sparse.linalg import cg

    b, steps = np.random.default_rng(0).standard_normal(36), []
    cg(Stencil5(6, 0.3).matrix(), b, rtol=1e-8, callback=steps.append)
    assert ssor_pcg_cost_table(Stencil5(6), [0.3], b, [1e-9])[0, 0] == len(steps)


def test_the_cap_is_kept_and_said():
    with pytest.warns(UserWarning, match="2 of 3 cells stopped at the cap of 40 iterations"):
        found = sor_cost_table(Stencil5(6), [0.0], np.ones(36), [1.0, 1.4, 1.9], max_iter=40)
    assert found[0].tolist() == [40, sor(Stencil5(6), np.ones(36), 1.4).iterations, 40]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"omegas": [1.0, 2.0]}, "omega=2 is outside"),
        ({"rhs": np.ones((3, 25))}, r"rhs has shape \(3, 25\)"),
        ({"rhs": np.full(25, np.nan)}, "is not finite"),
        ({"shifts": [np.nan, 0.0]}, "shifts are not finite"),
        ({"shifts": [-4.0, 0.0]}, "leave a zero on the diagonal"),
        ({"omegas": np.ones((3, 2))}, r"shifts has shape \(2,\) and omegas \(3, 2\)"),
        ({"A": np.ones((2, 3))}, "pass a square matrix"),
        ({"max_iter": 0}, "max_iter=0"),
    ],
)
def test_bad_input_is_named(change, message):
    given = {"A": Stencil5(5), "shifts": [0.0, 0.1], "rhs": np.ones(25), "omegas": ARMS} | change
    for table in (sor_cost_table, ssor_pcg_cost_table):
        with pytest.raises(BadInput, match=message):
            table(**given)


def test_systems_that_are_not_positive_definite_are_told():
    with pytest.raises(Diverged, match="SOR left the finite numbers at sweep"):
        sor_cost_table(Stencil5(5), [-2.0], np.ones(25), ARMS)
    with pytest.raises(BadInput, match="a system is not positive definite"):
        ssor_pcg_cost_table(Stencil5(5), [-2.0], np.ones(25), ARMS)
    with pytest.raises(BadInput, match="A is not symmetric"):
        ssor_pcg_cost_table(np.array([[2.0, 1.0], [0.0, 2.0]]), [0.0], np.ones(2), ARMS)


def test_heat_steps_are_crank_nicolson_and_do_not_depend_on_blocks():
    nx, dt = 7, 0.01
    (whole,) = heat_steps(nx, 5, dt)
    parts = list(heat_steps(nx, 5, dt, block=2))
    np.testing.assert_array_equal(np.concatenate([p.rhs for p in parts]), whole.rhs)
    n, t = (nx - 1) ** 2, 3
    s = 0.5 * dt * nx**2 * diffusion((t + 0.5) * dt)
    laplacian = Stencil5(nx - 1).matrix().toarray()
    line = np.arange(1, nx) / nx
    x, y = np.meshgrid(line, line, indexing="ij")
    angle = 16 * np.pi * (t + 0.5) * dt
    force = 32 * bump(x, y, (0.5 + np.cos(angle) / 4, 0.5 + np.sin(angle) / 4), 0.125).ravel()
    right = (np.eye(n) - s * laplacian) @ whole.starts[t] + dt * force
    np.testing.assert_allclose(whole.rhs[t] * s, right, atol=1e-12)
    np.testing.assert_allclose((np.eye(n) + s * laplacian) @ whole.starts[t + 1], right, atol=1e-12)
    assert whole.shifts[t] == pytest.approx(1 / s)


def test_heat_starts_from_the_bump_and_refuses_nonsense():
    first = next(heat_steps(8, 1, 0.01))
    assert first.starts[0].max() == pytest.approx(1.0)
    assert (bump(np.array([0.9]), np.array([0.5]), (0.5, 0.5), 0.25) == 0).all()
    with pytest.raises(BadInput, match="nx=1, steps=5"):
        next(heat_steps(1, 5, 0.01))


@pytest.mark.slow
def test_iterates_of_a_solver_meet_the_counts_of_the_exact_steps():
    """The table follows exact steps; a run on its own iterates differs by rounding of the tolerance."""
    nx, steps, dt = 10, 150, 0.004
    (part,) = heat_steps(nx, steps, dt)
    table = ssor_pcg_cost_table(Stencil5(nx - 1), part.shifts, part.rhs, [1.3], starts=part.starts)[:, 0]
    u, counts = part.starts[0], []
    for t in range(steps):
        grid = Stencil5(nx - 1, part.shifts[t])
        forced = part.rhs[t] - (part.shifts[t] * part.starts[t] - Stencil5(nx - 1).matrix() @ part.starts[t])
        found = ssor_pcg(grid, part.shifts[t] * u - Stencil5(nx - 1).matrix() @ u + forced, 1.3, u)
        u, _ = found.x, counts.append(found.iterations)
    assert np.abs(table - counts).max() <= 1
    assert np.mean(table != counts) < 0.05
