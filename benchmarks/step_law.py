"""Step Law: 1,000 bootstrap fits at once against a loop of scikit-learn fits."""

from __future__ import annotations

import numpy as np
import pandas as pd
from harness import Result, compare
from sklearn.linear_model import LinearRegression

from overparam.methods.scaling.step_law import StepLaw, near_optimal


def sweep() -> pd.DataFrame:
    """A sweep of the published size: 17 sizes, about 110 runs each."""
    rng = np.random.default_rng(0)
    rows = []
    for n in (2e8, 4e8, 1e9):
        for d in np.geomspace(4e9, 1e11, 6):
            for lr in 2.0 ** (np.arange(-22, -10) / 2):
                for bs in 2.0 ** np.arange(5, 14):
                    best = np.log(1.79 * n**-0.713 * d**0.307), np.log(0.58 * d**0.571 / 2048)
                    off = (np.log(lr) - best[0]) ** 2 + (np.log(bs) - best[1]) ** 2
                    rows.append((n, d, lr, bs, 2.5 * (1 + 0.005 * off + 0.0005 * rng.normal())))
    return pd.DataFrame(rows, columns=["N", "D", "lr", "bs", "loss"])


def main() -> list[Result]:
    """Compare."""
    table = sweep()
    law = StepLaw(n_bootstrap=1000).fit(table)
    rows = near_optimal(table, law.tolerance)
    weights = law.weights(rows["group"])
    x = np.stack([np.log(rows["N"]), np.log(rows["D"])], 1)
    rate, batch = np.log(rows["lr"]), np.log(rows["bs"] * 2048)
    drawn = [np.repeat(np.arange(len(x)), w.astype(int)) for w in weights]

    def loop() -> np.ndarray:
        found = []
        for i in drawn:
            a = LinearRegression().fit(x[i], rate[i])
            b = LinearRegression().fit(x[i][:, 1:], batch[i])
            found.append([a.intercept_, *a.coef_, b.intercept_, *b.coef_])
        return np.array(found)

    np.testing.assert_allclose(law.refit(weights), loop(), rtol=1e-6, atol=1e-6)
    name = f"1,000 fits of {len(x)} runs"
    return [compare(name, lambda: law.refit(weights), loop, peer_name="scikit-learn loop", repeats=5, target=100)]
