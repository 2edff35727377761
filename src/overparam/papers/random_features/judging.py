"""The rule for theory against regressions: settings one by one, each averaged over its seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from overparam.lab import Part, Region

if TYPE_CHECKING:
    from overparam.lab import Trials

CLOSE = 0.05  # what the eye would call agreement in the paper's figures
MOST = 0.9
ERRORS = 3.0


def settings(trials: Trials) -> list[dict[str, Any]]:
    """Average every setting of samples, features and ridge over its seeds.

    Args:
        trials: Rows with lists over ridges.

    Returns:
        n, k, ridge; measured and predicted test and train error; `error`, the standard error of the mean test error.
    """
    import numpy as np

    groups: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for row in trials.rows:
        groups.setdefault((row["n"], row["k"]), []).append(row)
    found = []
    for (n, k), rows in sorted(groups.items()):
        test, train = (np.array([r[name] for r in rows]) for name in ("test", "train"))
        errors = test.std(0, ddof=1) / np.sqrt(len(rows)) if len(rows) > 1 else np.zeros(test.shape[1])
        found += [
            {
                "n": n, "k": k, "ridge": ridge, "test": float(test[:, i].mean()), "train": float(train[:, i].mean()),
                "error": float(errors[i]), "theory_test": rows[0]["theory_test"][i],
                "theory_train": rows[0]["theory_train"][i],
            }
            for i, ridge in enumerate(rows[0]["ridge"])
        ]  # fmt: skip
    return found


def agreement(trials: Trials) -> list[Part]:
    """Median distance of measured from predicted test and train error at most 5 %; nine settings in ten agree."""
    import numpy as np

    cells = settings(trials)
    names = (
        "median |measured / predicted − 1|, test error",
        "median |measured − predicted| train error / test error",
        "settings within three standard errors or 5 %",
    )
    regions = (Region(high=CLOSE), Region(high=CLOSE), Region(low=MOST))
    if not cells:
        return [Part(n, "", None, None, None, 0, r, across="setting") for n, r in zip(names, regions, strict=True)]
    columns = ("test", "theory_test", "train", "theory_train", "error")
    test, wanted, train, fit, error = (np.array([c[name] for c in cells]) for name in columns)
    gap = np.abs(test - wanted)
    near = (gap <= ERRORS * error) | (gap <= CLOSE * wanted)
    values = (float(np.median(gap / wanted)), float(np.median(np.abs(train - fit) / wanted)), float(near.mean()))
    return [
        Part(n, "", v, v, v, len(cells), r, level=1.0, across="setting")
        for n, v, r in zip(names, values, regions, strict=True)
    ]
