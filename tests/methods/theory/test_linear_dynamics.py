import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overparam.errors import BadInput
from overparam.methods.theory.linear_dynamics import (
    generalization_error,
    mode_stopping_time,
    optimal_ridge_error,
    optimal_stopping,
    ridge_error,
    training_error,
    weight_norm,
)
from overparam.methods.theory.marchenko_pastur import empirical_spectrum

TIMES = np.concatenate([[0.0], np.geomspace(0.01, 1e4, 60), [np.inf]])
ALPHAS = [0.25, 0.5, 0.9, 1.5, 4.0]


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("inr", [0.0, 5.0])
def test_ends_are_known_in_closed_form(alpha, inr):
    signal, noise, start = 2.0, 0.4, inr * 0.4
    test = generalization_error(TIMES, alpha, 5.0, inr, signal_var=signal)
    assert test[0] == pytest.approx(signal + start + noise)
    late = noise * alpha / (alpha - 1) if alpha > 1 else (1 - alpha) * (signal + start) + noise / (1 - alpha)
    assert test[-1] == pytest.approx(late, rel=1e-10)
    train = training_error(TIMES, alpha, 5.0, inr, signal_var=signal)
    assert train[0] == pytest.approx(signal + start + noise)
    assert train[-1] == pytest.approx(max(0.0, 1 - 1 / alpha) * noise, abs=1e-14)
    assert (np.diff(train) <= 1e-15).all()
    assert weight_norm(0.0, alpha, 5.0, inr, signal_var=signal) == pytest.approx(start)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_the_first_slope_is_that_of_the_sum_of_squares(alpha):
    step = 1e-6  # dE/dt at 0: -2 (s_w^2 + s_0^2) alpha, and -2 of the mean of |gradient|^2 / P for the training error
    test, train = (f([0.0, step], alpha, 5.0, 2.0) for f in (generalization_error, training_error))
    assert (test[1] - test[0]) / step == pytest.approx(-2 * 1.4 * alpha, rel=1e-4)
    assert (train[1] - train[0]) / step == pytest.approx(-2 * (1.4 * (1 + alpha) + 0.2), rel=1e-4)


def test_a_known_matrix_gives_the_average_over_teachers_and_noise():
    """E over w, noise and start of the errors of explicit flow, as traces of matrices."""
    rng = np.random.default_rng(0)
    for n, p in ((8, 5), (5, 8)):
        x = rng.normal(0.0, n**-0.5, (n, p))
        gram = x @ x.T
        values, vectors = np.linalg.eigh(gram)
        law = empirical_spectrum(values)
        for t in (0.3, 2.0, 50.0):
            decay = (vectors * np.exp(-values * t)) @ vectors.T
            lag = np.linalg.pinv(gram) @ (np.eye(n) - decay) @ x  # noise to weights
            test = (1.2 * np.trace(decay @ decay) + 0.2 * np.trace(lag @ lag.T)) / n + 0.2
            assert generalization_error(t, p / n, 5.0, 1.0, spectrum=law) == pytest.approx(test, rel=1e-10)
            seen = np.eye(p) - x.T @ lag  # noise to residuals
            train = (1.2 * np.trace(x.T @ decay @ decay @ x) + 0.2 * np.trace(seen @ seen.T)) / p
            assert training_error(t, p / n, 5.0, 1.0, spectrum=law) == pytest.approx(train, rel=1e-10)
            norm = (0.2 * np.trace(decay @ decay) + np.trace((np.eye(n) - decay) @ (np.eye(n) - decay))) / n
            norm += 0.2 * np.trace(lag @ lag.T) / n
            assert weight_norm(t, p / n, 5.0, 1.0, spectrum=law) == pytest.approx(norm, rel=1e-10)
        for lam in (0.05, 0.2, 1.0):
            inverse = np.linalg.inv(gram + lam * np.eye(n))
            bias, hat = lam * inverse, inverse @ x
            error = (np.trace(bias @ bias) + 0.2 * np.trace(hat @ hat.T)) / n + 0.2
            assert ridge_error(lam, p / n, 5.0, spectrum=law) == pytest.approx(error, rel=1e-10)


def test_the_error_grows_as_the_root_of_time_where_weights_equal_samples():
    late = generalization_error([1e4, 4e4, 1.6e5], 1.0, 5.0, noisy_test=False)
    np.testing.assert_allclose(late[1:] / late[:-1], 2.0, rtol=0.01)
    assert np.isinf(generalization_error(np.inf, 1.0, 5.0))
    assert np.isinf(weight_norm(np.inf, 1.0, 5.0))
    assert np.isinf(ridge_error(0.0, 1.0, 5.0))


def test_with_very_many_samples_only_noise_is_left():
    assert generalization_error(np.inf, 1e4, 5.0) == pytest.approx(0.2, rel=1e-3)
    assert generalization_error(np.inf, 1e4, 5.0, noisy_test=False) < 1e-4


@given(st.floats(0.1, 8.0), st.floats(0.1, 100.0), st.floats(0.0, 10.0))
def test_stopping_is_the_least_error_and_ridge_is_no_worse(alpha, snr, inr):
    best = optimal_stopping(alpha, snr, inr)
    curve = generalization_error(np.geomspace(1e-3, 1e3, 100), alpha, snr, inr)
    assert best.error <= curve.min() * (1 + 1e-9)
    assert best.error == pytest.approx(float(generalization_error(best.time, alpha, snr, inr)))
    assert optimal_ridge_error(alpha, snr) <= optimal_stopping(alpha, snr).error


@given(st.floats(0.1, 8.0), st.floats(0.1, 50.0))
def test_ridge_is_best_at_one_over_snr(alpha, snr):
    around = ridge_error(np.array([0.8, 1.0, 1.25]) / snr, alpha, snr)
    assert around[1] < min(around[0], around[2])


def test_each_direction_stops_where_its_error_is_least():
    for value in (0.01, 0.5, 4.0):
        law = empirical_spectrum([value])
        assert optimal_stopping(1.0, 5.0, 2.0, spectrum=law).time == pytest.approx(
            float(mode_stopping_time(value, 5.0, 2.0)), rel=1e-6
        )
    assert mode_stopping_time(1e-9, 5.0) == pytest.approx(float(mode_stopping_time(0.0, 5.0)))
    assert (np.diff(mode_stopping_time(np.linspace(0, 5, 20), 5.0)) < 0).all()


def test_cleaner_labels_allow_longer_training():
    times = [optimal_stopping(0.5, snr).time for snr in (0.5, 1, 5, 25, 100)]
    assert (np.diff(times) > 0).all()


@pytest.mark.parametrize("function", [generalization_error, training_error, weight_norm])
@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"alpha": 0.0}, "alpha=0.0 is no ratio"),
        ({"snr": 0.0}, "snr=0.0"),
        ({"snr": float("nan")}, "snr=nan"),
        ({"inr": -1.0}, "inr=-1.0 is no ratio"),
        ({"t": [0.0, -2.0]}, "t holds -2.0"),
        ({"t": float("nan")}, "t holds nan"),
        ({"signal_var": 0.0}, "signal_var=0.0"),
    ],
)
def test_arguments_are_checked(function, given, says):
    with pytest.raises(BadInput, match=says):
        function(**{"t": 1.0, "alpha": 0.5, "snr": 5.0, **given})


def test_the_others_check_theirs():
    with pytest.raises(BadInput, match="penalty=-1.0 is negative"):
        ridge_error(-1.0, 0.5, 5.0)
    with pytest.raises(BadInput, match="eigenvalue=-1.0 is negative"):
        mode_stopping_time(-1.0, 5.0)
    for call in (optimal_stopping, optimal_ridge_error):
        with pytest.raises(BadInput, match="snr=-5.0"):
            call(0.5, -5.0)
        with pytest.raises(BadInput, match="alpha=-0.5"):
            call(-0.5, 5.0)
