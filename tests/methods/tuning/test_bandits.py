import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from overparam.errors import BadInput
from overparam.methods.tuning.bandits import (
    UCB1,
    EpsGreedy,
    Fixed,
    TsallisINF,
    TsallisINFCB,
    tsallis_probabilities,
)
from overparam.methods.tuning.cheb_cb import ChebCB, gap_weights
from overparam.methods.tuning.relaxation import Stencil5, sor
from overparam.methods.tuning.sequence import instances, regret, replay, run_sequence, truncated_normal

ARMS = [1.0, 1.3, 1.6, 1.9]
INSIDE = (0.0, 1.0)
MAKE = {
    "tsallis": lambda rng=0, **k: TsallisINF(ARMS, rng, **k),
    "tsallis-cb": lambda rng=0, **k: TsallisINFCB(ARMS, INSIDE, 3, rng, **k),
    "cheb": lambda rng=0, **k: ChebCB(ARMS, INSIDE, 3, rng, **k),
    "greedy": lambda rng=0, **k: EpsGreedy(ARMS, 0.2, rng, **k),
    "ucb": lambda rng=0, **k: UCB1(ARMS, rng, **k),
}
every = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)


def cost(omega, context, seed=0):
    return 10 + 40 * abs(omega - 1 - 0.9 * context) + np.random.default_rng([seed, int(1000 * context)]).random()


def play(tuner, rounds, seed=0):
    rng = np.random.default_rng(seed)
    chosen = []
    for _ in range(rounds):
        c = rng.random()
        chosen.append(tuner.choose(context=c))
        tuner.update(cost(chosen[-1], c))
    return chosen


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1e7), min_size=2, max_size=30), st.floats(1e-3, 10))
def test_tsallis_probabilities_solve_their_equation(losses, eta):
    k = np.array([losses])
    p = tsallis_probabilities(k, np.array([eta]))[0]
    assert abs(p.sum() - 1) < 1e-10
    assert (p > 0).all()
    k = k[0] - k.min()
    root = brentq(
        lambda x: (4 / (eta * (k - x)) ** 2).sum() - 1,
        -2.1 / eta * np.sqrt(len(k)),
        -2 / eta * (1 - 1e-12),
        xtol=1e-15,
        rtol=1e-15,
    )
    np.testing.assert_allclose(p, 4 / (eta * (k - root)) ** 2, rtol=1e-6, atol=1e-9)


def test_newton_from_minus_one_jumps_over_the_pole_where_ours_descends():
    """The official code starts there; x has to stay below the smallest loss."""
    k, eta = np.linspace(500.0, 900.0, 20), 2 / np.sqrt(5000)
    p = 4 / (eta * (k + 1)) ** 2
    assert -1 - (p.sum() - 1) / (eta * (p**1.5).sum()) > k.max()
    ours = tsallis_probabilities(k[None], np.array([eta]))[0]
    assert abs(ours.sum() - 1) < 1e-12
    assert (np.diff(ours) < 0).all()


def test_tsallis_follows_its_definition_round_by_round():
    tuner, k, losses = TsallisINF(ARMS, 5), np.zeros(4), []
    for t in range(1, 60):
        omega = tuner.choose()
        scale = np.mean(losses) if losses else 1.0
        expected = tsallis_probabilities(k[None] / scale, np.array([2 / np.sqrt(t)]))[0]
        np.testing.assert_allclose(tuner.probabilities[0], expected, rtol=1e-12)
        i, paid = ARMS.index(omega), 10.0 + t % 7
        tuner.update(paid)
        losses.append(paid - 1)
        k[i] += (paid - 1) / expected[i]


def test_bins_are_the_nearest_centres_and_learn_apart():
    tuner, alone = TsallisINFCB(ARMS, (-0.15, 0.65), 5, 0), TsallisINF(ARMS, 0)
    centres = -0.15 + 0.8 * (np.arange(5) + 0.5) / 5
    for c in np.linspace(-0.15, 0.65, 41)[np.arange(41) % 8 != 0]:
        assert tuner._bin(np.array([c]))[0] == np.abs(centres - c).argmin()
    for _ in range(50):  # all in one bin: the same as without bins
        omega = tuner.choose(0.2)
        assert omega == alone.choose()
        tuner.update(30 * omega)
        alone.update(30 * omega)
    np.testing.assert_array_equal(tuner.losses[0, 2], alone.losses[0, 0])
    assert tuner.losses[0, [0, 1, 3, 4]].sum() == 0


def slow_cheb(features, arms, losses, predicted, d, m, span):
    """ChebCB from all its rounds, as the official code does it."""
    from scipy.optimize import lsq_linear

    K = losses.max()
    lip = K / span
    N = 2 + 4 * span * lip / K * (1 + np.log(m))
    box = np.r_[1 / N, 2 * span * lip / (K * N) / np.arange(1, m)]
    theta, residual = np.zeros((d, m)), np.zeros(d)
    for i in range(d):
        F, y = features[arms == i], (losses[arms == i] - 1) / (K * N)
        if len(F):
            theta[i] = np.linalg.lstsq(F, y, rcond=None)[0]
            if (np.abs(theta[i]) > box).any():
                found = lsq_linear(F, y, (-box, box), method="bvls")
                theta[i], residual[i] = found.x, 2 * found.cost
    alpha = (np.pi + 2 / np.pi * np.log(2 * m + 1)) * span * lip / (2 * K * N * (m + 1))
    R = ((predicted - losses / (K * N)) ** 2).sum()
    return theta, residual, R, alpha


def test_sums_give_what_all_rounds_give():
    tuner, rng = ChebCB(ARMS, INSIDE, 3, 0), np.random.default_rng(0)
    rows = []
    for t in range(1, 120):
        c = rng.random()
        omega = tuner.choose(c)
        arm = ARMS.index(omega)
        f = np.cos(np.arange(4) * np.arccos(2 * c - 1))
        rows.append((f, arm, tuner._yhat[0, arm]))
        tuner.update(cost(omega, c))
        rows[-1] = (*rows[-1], cost(omega, c))
        if t >= 60:  # every arm has seen more rounds than it has polynomials
            features, arms, predicted, losses = (np.array(v) for v in zip(*rows, strict=True))
            theta, residual, R, alpha = slow_cheb(features, arms, losses, predicted, 4, 4, 1.0)
            np.testing.assert_allclose(tuner.theta[0, arm], theta[arm], atol=1e-6)
            eta = 2 * t * np.sqrt(4 * t / (max(R - residual[arm], 0) + 2 * alpha**2 * t))
            np.testing.assert_allclose(tuner.eta[0], eta, rtol=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=20), st.floats(0, 1e6))
def test_gap_weights_are_probabilities_that_favour_the_best(predicted, eta):
    y = np.array([predicted])
    p = gap_weights(y, np.array([eta]))[0]
    assert abs(p.sum() - 1) < 1e-12
    assert p[y[0].argmin()] >= 1 / len(predicted) - 1e-12
    assert (p >= 0).all()
    np.testing.assert_allclose(gap_weights(y, np.zeros(1))[0], 1 / len(predicted))


def test_lipschitz_by_the_costs_seen_has_smaller_boxes():
    official, observed = (ChebCB(ARMS, INSIDE, 3, 0, lipschitz=k) for k in ("official", "observed"))
    for tuner in (official, observed):
        play(tuner, 40)
    assert official.smallest[0] == 0.0
    assert observed.smallest[0] >= 10.0
    assert observed.scale[0] < official.scale[0]


@every
def test_copies_are_learners_with_their_own_seed(make):
    many, single = make([3, 7]), make(7)
    for t in range(60):
        c = (t * 0.37) % 1
        both = many.choose_all([c / 2, c])
        assert single.choose(c) == both[1]
        np.testing.assert_allclose(many.probabilities[1], single.probabilities[0], rtol=1e-9)
        many.update_all([cost(w, x) for w, x in zip(both, (c / 2, c), strict=True)])
        single.update(cost(both[1], c))
    with pytest.raises(RuntimeError, match="there are 2 copies; use choose_all"):
        many.choose(0.5)
    with pytest.raises(RuntimeError, match="there are 2 copies"):
        many.update(3)


@every
def test_a_learner_goes_on_from_its_state(make):
    one, two = make(), make(99)
    play(one, 40)
    state = one.state_dict()
    two.load_state_dict(state)
    assert play(one, 40, seed=1) == play(two, 40, seed=1)
    three = make()
    three.load_state_dict(state)  # what was handed out has not changed
    assert three.rounds == 40


@every
def test_learners_are_deterministic_and_prefer_what_is_cheap(make):
    assert play(make(), 50) == play(make(), 50)
    tuner = make()
    for _ in range(1500):
        tuner.update({1.0: 100, 1.3: 40, 1.6: 15, 1.9: 70}[tuner.choose(0.5)])
    tuner.choose(0.5)
    assert tuner.probabilities[0].argmax() == 2
    assert tuner.probabilities[0, 2] > 0.5


@every
def test_the_order_of_choosing_and_paying_is_kept(make):
    tuner = make()
    with pytest.raises(RuntimeError, match="update without a choice"):
        tuner.update(5)
    tuner.choose(0.5)
    with pytest.raises(RuntimeError, match="choose was called twice"):
        tuner.choose(0.5)
    with pytest.raises(RuntimeError, match="a choice waits for its cost"):
        tuner.state_dict()
    for bad in (0.5, np.nan, np.inf, -3):
        with pytest.raises(BadInput, match="is not finite or below least=1"):
            tuner.update(bad)
    with pytest.raises(BadInput, match=r"costs has shape \(2,\)"):
        tuner.update_all([5, 5])
    tuner.update(5)  # a refused cost leaves the choice to be paid for
    with pytest.raises(RuntimeError, match="update without a choice"):
        tuner.update(5)
    with pytest.raises(RuntimeError, match="no choice waits"):
        tuner.chosen()


@every
def test_seconds_are_costs_where_zero_is_the_least(make):
    tuner = make(least=0.0)
    for _ in range(400):
        tuner.update(1e-3 * abs(tuner.choose(0.5) - 1.3))
    tuner.choose(0.5)
    assert tuner.probabilities[0].argmax() == 1


def test_costs_that_are_all_the_least_leave_the_play_uniform():
    tuner = TsallisINF(ARMS)
    for _ in range(5):
        tuner.choose()
        np.testing.assert_allclose(tuner.probabilities, 0.25)
        tuner.update(1)


@pytest.mark.parametrize("make", [MAKE["tsallis-cb"], MAKE["cheb"]])
def test_contexts_are_checked(make):
    tuner = make()
    with pytest.raises(BadInput, match=r"context is missing; pass a number in \[0, 1\]"):
        tuner.choose()
    with pytest.raises(BadInput, match="is not finite"):
        tuner.choose(np.nan)
    with pytest.warns(UserWarning, match=r"context 1.5 is outside \[0, 1\] and was clipped"):
        tuner.choose(1.5)
    tuner.update(9)
    assert tuner.rounds == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TsallisINF([]), r"arms has shape \(0,\)"),
        (lambda: TsallisINF([1.0, np.inf]), "is not finite"),
        (lambda: TsallisINF(ARMS, []), "rng holds no seed"),
        (lambda: TsallisINF(ARMS, least=np.nan), "least=nan"),
        (lambda: TsallisINFCB(ARMS, (1.0, 0.0)), r"interval=\(1, 0\) is reversed"),
        (lambda: TsallisINFCB(ARMS, INSIDE, 0), "bins=0"),
        (lambda: ChebCB(ARMS, (0.0, np.inf)), "not finite; pass"),
        (lambda: ChebCB(ARMS, (1.0, 1.0)), "empty"),
        (lambda: ChebCB(ARMS, INSIDE, -1), "degree=-1"),
        (lambda: ChebCB(ARMS, INSIDE, lipschitz="best"), "lipschitz='best' is unknown"),
        (lambda: EpsGreedy(ARMS, 1.5), r"epsilon=1.5 is outside \[0, 1\]"),
        (lambda: TsallisINF(ARMS).load_state_dict(UCB1(ARMS).state_dict()), "state is of another learner"),
        (lambda: TsallisINF(ARMS).load_state_dict(TsallisINF([1.0]).state_dict()), "with the same arms"),
        (lambda: instances("middle", 3, 4, np.random.default_rng(0)), "sequence='middle' is unknown"),
        (lambda: replay(TsallisINF(ARMS), np.ones((3, 2))), r"pass a table of \(T, 4\)"),
        (lambda: replay(TsallisINF(ARMS), np.ones((3, 4)), contexts=[1.0]), r"contexts has shape \(1,\)"),
        (lambda: replay(TsallisINF(ARMS), np.ones((3, 4)), order=np.zeros((3, 2), int)), "one column a copy"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(BadInput, match=message):
        call()


def test_a_table_replays_what_a_solver_would_give():
    shifts, rhs = instances("low", 30, 25, np.random.default_rng(0))
    table = [[sor(Stencil5(5, c), b, w).iterations for w in ARMS] for c, b in zip(shifts, rhs, strict=True)]
    by_table = replay(ChebCB(ARMS, (-0.15, 0.65), 2, [4]), table, contexts=shifts)
    by_solver = run_sequence(
        ChebCB(ARMS, (-0.15, 0.65), 2, 4),
        lambda system, w: sor(Stencil5(5, system[0]), system[1], w).iterations,
        [(c, (c, b)) for c, b in zip(shifts, rhs, strict=True)],
    )
    for name in ("cost", "arm", "prob"):
        np.testing.assert_allclose(getattr(by_table, name)[:, 0], getattr(by_solver, name))


def test_regret_of_the_best_fixed_arm_is_zero_and_an_order_is_kept():
    table = np.random.default_rng(0).integers(1, 50, (40, 4)).astype(float)
    best = int(table.sum(0).argmin())
    assert regret(table[:, [best]], table)[-1, 0] == 0
    order = np.random.default_rng(1).permutation(40)[:, None]
    played = replay(TsallisINF(ARMS, [0]), table, order=order)
    arms = [ARMS.index(w) for w in played.arm[:, 0]]
    np.testing.assert_array_equal(played.cost[:, 0], table[order[:, 0], arms])
    assert regret(played.cost, table, order)[-1, 0] == played.cost.sum() - table.sum(0).min()


def test_right_hand_sides_keep_to_the_ball_and_shifts_to_their_range():
    shifts, rhs = instances("high", 2000, 9, np.random.default_rng(0))
    assert (np.linalg.norm(rhs, axis=1) <= 3).all()
    assert -0.15 <= shifts.min() < shifts.max() <= 0.45
    assert shifts.mean() == pytest.approx(0.0, abs=0.02)  # -0.15 + 0.6 / 4
    assert np.abs(truncated_normal(4000, 4, np.random.default_rng(1)).mean(0)).max() < 0.06


def test_a_fixed_parameter_stays():
    tuner = Fixed(1.4, copies=2)
    assert tuner.choose_all().tolist() == [1.4, 1.4]
    tuner.update_all([0.1, 5])
