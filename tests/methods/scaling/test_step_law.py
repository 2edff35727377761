import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st

from overparam.errors import BadInput
from overparam.methods.scaling.step_law import StepLaw, near_optimal

sizes = st.floats(1e7, 1e12)


def sweep(batch_n=0.0, sizes=((1e8, 1e9), (1e8, 1e10), (1e9, 1e9), (1e9, 1e10), (3e8, 3e9))):
    """Noise-free grids whose optima lie exactly on a law."""
    rows = []
    for n, d in sizes:
        lr, batch = 1.79 * n**-0.713 * d**0.307, 0.58 * d**0.571 * (n / 3e8) ** batch_n
        for a in np.linspace(-1, 1, 21):
            for b in np.linspace(-1, 1, 21):
                rows.append((n, d, lr * np.exp(a), batch * np.exp(b) / 2048, 2.0 * (1 + 0.05 * (a * a + b * b))))
    return pd.DataFrame(rows, columns=["N", "D", "lr", "bs", "loss"])


@pytest.mark.parametrize("batch_n", [0.0, -0.3])
def test_exact_laws_are_recovered(batch_n):
    law = StepLaw(tolerance=1e-6, batch_uses_n=True, n_bootstrap=50).fit(sweep(batch_n))
    assert law.coef_["lr_n"] == pytest.approx(-0.713, abs=1e-9)
    assert law.coef_["lr_d"] == pytest.approx(0.307, abs=1e-9)
    assert law.coef_["batch_n"] == pytest.approx(batch_n, abs=1e-9)
    assert law.coef_["batch_d"] == pytest.approx(0.571, abs=1e-9)
    assert np.exp(law.intercept_["lr"]) == pytest.approx(1.79, rel=1e-6)


def test_rows_in_any_order_give_the_same_fit():
    table = sweep()
    one, two = (StepLaw(n_bootstrap=0).fit(t) for t in (table, table.sample(frac=1, random_state=1)))
    assert one.coef_ == pytest.approx(two.coef_, rel=1e-9)


def test_weights_are_resampling():
    table = sweep()
    law = StepLaw(n_bootstrap=5, tolerance=0.02).fit(table)
    rows = near_optimal(table, 0.02)
    for weights, boot in zip(law.weights(rows["group"]), law.refit(law.weights(rows["group"])), strict=True):
        drawn = np.repeat(np.arange(len(weights)), weights.astype(int))
        x = np.stack([np.ones(len(drawn)), np.log(rows["N"][drawn]), np.log(rows["D"][drawn])], 1)
        rate, *_ = np.linalg.lstsq(x, np.log(rows["lr"][drawn]), rcond=None)
        batch, *_ = np.linalg.lstsq(x[:, [0, 2]], np.log(rows["bs"][drawn] * 2048), rcond=None)
        np.testing.assert_allclose(boot, [*rate, *batch], rtol=1e-7, atol=1e-7)


def test_groups_are_resampled_whole():
    table = sweep()
    rows = near_optimal(table, 0.02)
    weights = StepLaw(bootstrap="groups", n_bootstrap=20).weights(rows["group"])
    for group in range(5):
        inside = weights[:, rows["group"] == group]
        assert (inside == inside[:, :1]).all()
    assert (weights[:, np.unique(rows["group"], return_index=True)[1]].sum(1) == 5).all()


def test_mean_parameters_are_not_the_mean_prediction():
    fits = pd.DataFrame({
        "lr_intercept": [0.0, 1.0],
        "lr_coefN": [-0.7, -0.8],
        "lr_coefD": [0.3, 0.3],
        "bs_intercept": [-0.5, -0.6],
        "bs_coefD": [0.57, 0.58],
    })
    law = StepLaw.from_bootstrap(fits)
    with pytest.warns(UserWarning, match="extrapolation: N outside"):
        found = law.predict(7e9, 2e10)
    each = np.exp(fits.lr_intercept + fits.lr_coefN * np.log(7e9) + fits.lr_coefD * np.log(2e10))
    assert found.lr == pytest.approx(np.exp(np.log(each).mean()))
    assert found.lr != pytest.approx(each.mean(), rel=1e-3)
    assert found.lr_interval[0] < found.lr < found.lr_interval[1]


def test_only_runs_near_the_best_enter():
    table = sweep()
    rows = near_optimal(table, 0.01)
    assert len(rows["N"]) < len(table)
    diverged = pd.concat([table, table.head(1).assign(loss=11.0)])
    assert len(near_optimal(diverged, 0.01)["N"]) == len(rows["N"])


def test_the_smooth_loss_is_preferred():
    table = sweep().assign(**{"smooth loss": lambda t: t["loss"]})
    noisy = table.assign(loss=1.0)
    assert near_optimal(noisy, 0.01)["loss"].std() > 0


def test_tables_are_checked():
    table = sweep()
    with pytest.raises(BadInput, match="no column 'bs'; it has N, D, lr, loss"):
        StepLaw().fit(table.drop(columns="bs"))
    with pytest.raises(BadInput, match="two or more identify the exponent of N"):
        StepLaw().fit(table[table["N"] == 1e8])
    with pytest.raises(BadInput, match="column lr"):
        StepLaw().fit(table.assign(lr=0.0))
    with pytest.raises(BadInput, match="give rows or groups"):
        StepLaw(bootstrap="columns")
