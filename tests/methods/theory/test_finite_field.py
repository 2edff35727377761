import itertools

import numpy as np
import pytest

from overparam.errors import BadInput
from overparam.methods.theory.estimability import p_exact_erm
from overparam.methods.theory.finite_field import FiniteFieldLinear, solve_mod


def every(q, d):
    return np.array(list(itertools.product(range(q), repeat=d)))


@pytest.mark.parametrize(("q", "m", "d"), [(2, 3, 4), (3, 4, 3), (5, 2, 2)])
def test_solutions_against_enumeration(q, m, d):
    rng = np.random.default_rng(0)
    a, y = rng.integers(0, q, (200, m, d)), rng.integers(0, q, (200, m))
    found = solve_mod(a, y, q, rng=1)
    candidates = every(q, d)
    fits = ((np.einsum("tmd,cd->tcm", a, candidates) - y[:, None]) % q == 0).all(2)
    np.testing.assert_array_equal(found.consistent, fits.any(1))
    solves = ((a * found.z[:, None]).sum(2) % q == y).all(1)
    np.testing.assert_array_equal(solves, found.consistent | (y == 0).all(1))
    kernel = ((np.einsum("tmd,cd->tcm", a, candidates)) % q == 0).all(2).sum(1)
    np.testing.assert_array_equal(kernel, q**found.nullity)


def test_solutions_are_uniform_among_all():
    a, y = np.tile([[1, 1, 0]], (9000, 1, 1)), np.ones((9000, 1))
    z = solve_mod(a, y, 3, rng=0).z
    counts = np.unique(z, axis=0, return_counts=True)[1]
    assert len(counts) == 9
    assert np.abs(counts - 1000).max() < 5 * np.sqrt(1000)


def test_large_moduli_do_not_overflow():
    q = 2**31 - 1
    rng = np.random.default_rng(0)
    a, z = rng.integers(0, q, (5, 6, 6)), rng.integers(0, q, (5, 6))
    y = np.array([[sum(int(p) * int(r) for p, r in zip(row, w, strict=True)) % q for row in m]
                  for m, w in zip(a, z, strict=True)])  # fmt: skip
    np.testing.assert_array_equal(solve_mod(a, y, q, rng=0).z, z)


def test_no_equations_leave_everything_free():
    found = solve_mod(np.zeros((4, 0, 3)), np.zeros((4, 0)), 7, rng=0)
    assert found.consistent.all()
    assert (found.nullity == 3).all()
    assert len(np.unique(found.z)) > 1


def test_two_distinct_functions_disagree_on_all_but_one_in_q():
    space = FiniteFieldLinear(3, 3)
    functions = every(3, 3)
    values = functions @ functions.T % 3  # every input under every function
    for i, j in itertools.product(range(0, 27, 5), repeat=2):
        share = (values[:, i] != values[:, j]).mean()
        assert float(space.disagreement(functions[i], functions[j])) == pytest.approx(share)


@pytest.mark.parametrize("k", [None, 4, 8])
def test_the_learner_interpolates(k):
    space = FiniteFieldLinear(5, 10)
    w = space.target(300, rng=0, support=4)
    x, y = space.sample(w, 6, rng=1)
    learned = space.erm(x, y, rng=2, bias_k=k)
    assert ((x * learned.w[:, None]).sum(2) % 5 == y).all()
    assert learned.biased.all()
    if k is not None:
        assert not learned.w[:, k:].any()


def test_shares_match_the_closed_forms():
    space, n, trials = FiniteFieldLinear(2, 16), 8, 4000
    for k in (8, 6):
        near, far = (space.target(trials, rng=s, support=support) for s, support in ((0, k), (1, None)))
        rows = []
        for w in (near, far):
            x, y = space.sample(w, n, rng=2)
            learned = space.erm(x, y, rng=3, bias_k=k)
            rows.append((space.disagreement(learned.w, w).mean(), learned.biased.mean()))
        p = p_exact_erm(2, k, n)
        error = 4 * 0.5 / np.sqrt(trials)
        assert rows[0] == pytest.approx((0.5 * (1 - p), 1.0), abs=error)
        assert rows[1][1] == pytest.approx(2.0 ** (k - n) * p, abs=error)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: FiniteFieldLinear(4, 3), "q=4 is no prime"),
        (lambda: FiniteFieldLinear(1, 3), "q=1 is no prime"),
        (lambda: FiniteFieldLinear(3, 0), "d=0"),
        (lambda: FiniteFieldLinear(3, 3).target(1, rng=0, support=4), "k=4"),
        (lambda: FiniteFieldLinear(3, 3).erm(np.ones((2, 3)), np.ones(2), rng=0, bias_k=9), "k=9"),
        (lambda: FiniteFieldLinear(3, 1).erm([[1], [1]], [0, 1], rng=0), "no linear function"),
        (lambda: solve_mod([[1, 2]], [1, 2], 3, rng=0), "a has shape"),
        (lambda: solve_mod([[1, 2]], [0.5], 3, rng=0), "fractions"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(BadInput, match=message):
        call()
