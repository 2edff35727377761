import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overparam.errors import BadInput
from overparam.methods.scaling.laws import (
    DEEPSEEK,
    LAWS,
    OPENAI,
    PORIAN,
    STEP,
    HyperParameters,
    flops_per_token,
    meituan,
    microsoft,
)

sizes = st.floats(1e7, 1e12)


@given(sizes, sizes)
def test_the_law_is_homogeneous(n, d):
    one, two = STEP.predict(n, d), STEP.predict(2 * n, 2 * d)
    assert two.lr / one.lr == pytest.approx(2 ** (0.307 - 0.713))
    assert two.batch_tokens / one.batch_tokens == pytest.approx(2**0.571)


def test_published_values():
    found = STEP.predict(1e9, 1e11)
    assert found.lr == pytest.approx(1.79 * 1e9**-0.713 * 1e11**0.307)
    assert found.batch_sequences(2048) == round(0.58 * 1e11**0.571 / 2048)


def test_integer_columns_do_not_overflow():
    n, d = np.array([1_073_741_824]), np.array([56_900_000_000])
    assert (n * d < 0).any() or (n.astype(float) * d > 9.2e18).all()  # the product does not fit into 64 bits
    found = DEEPSEEK.predict(n, d)
    assert found.lr[0] == pytest.approx(0.3118 * (6.0 * 1_073_741_824 * 56_900_000_000) ** -0.125)
    m = flops_per_token(np.array([2048]), np.array([5504]), np.array([24]))
    assert m.dtype == np.float64


def test_laws_broadcast_and_keep_scalars():
    assert isinstance(PORIAN.predict(1e9, 2e10).lr, float)
    assert PORIAN.predict(np.array([1e8, 1e9]), 2e10).lr.shape == (2,)
    assert set(LAWS) == {"step", "deepseek", "porian", "openai", "minicpm"}
    assert np.isnan(microsoft(1e-5).predict(1e9, 1e10).batch_tokens)
    assert meituan((1.0, 2.0), (3.0, 1.0)).predict(1e9, 1e10, loss=2.0).lr == 4.0


@pytest.mark.parametrize(("n", "d"), [(0, 1e9), (1e9, -1), (np.nan, 1e9), (1e9, np.inf)])
def test_sizes_must_be_positive_and_finite(n, d):
    with pytest.raises(BadInput, match="is not positive and finite"):
        STEP.predict(n, d)


def test_missing_inputs_are_named():
    with pytest.raises(BadInput, match="law openai needs the loss"):
        OPENAI.predict(1e9, 1e10)
    with pytest.raises(BadInput, match="constant"):
        microsoft(-1)
    with pytest.raises(BadInput, match="seq_len=0"):
        HyperParameters(1e-3, 1e6).batch_sequences(0)
