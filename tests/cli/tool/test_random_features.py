import json

import numpy as np
import pytest

from overparam.cli.tool.random_features import Kernel, Labels, command, from_kernel, from_spectrum, power_law
from overparam.errors import BadInput
from overparam.methods.theory.eigenstructure import eigenstructure
from overparam.methods.theory.kernels import arccos_nngp
from overparam.methods.theory.random_features import optimal_ridge, rf_risk, unseen_risk
from overparam.methods.theory.regression_plan import measure


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((80, 5))
    K, y = arccos_nngp(x, x), x[:, 0] + 0.1 * rng.standard_normal(80)
    np.save(tmp_path / "K.npy", K)
    np.save(tmp_path / "x.npy", x)
    np.savetxt(tmp_path / "y.csv", y)
    np.savetxt(tmp_path / "classes.txt", rng.integers(0, 3, 80), fmt="%d")
    i = np.arange(1, 101.0)
    np.savetxt(tmp_path / "spectrum.csv", np.c_[i**-1.5, i**-1.8], delimiter=",", header="eigenvalue,coefficient")
    return tmp_path, K, y


def plan(folder, first="K.npy", labels="y.csv", kind=Kernel.auto, read_as=Labels.auto, n=20, features=None, ridge=None):
    return from_kernel(folder / first, folder / labels, kind, read_as, n, features, ridge, 0.05)


def test_a_kernel_is_predicted_on_the_points_not_trained_on(files):
    folder, K, y = files
    document = plan(folder, features=30, ridge=0.2)
    lam, v = eigenstructure(K, y)
    v2 = (v**2).sum(1)
    rows = {(r["setting"], r["features"]): r for r in document["predictions"]}
    best = optimal_ridge(lam, v2, 20, np.inf, pool=80)
    assert rows["best ridge", None]["test"] == pytest.approx(best.risk, rel=1e-6)
    asked = rf_risk(lam, v2, 20, 30, 0.2)
    assert rows["as asked", 30]["test"] == unseen_risk(asked.test, asked.train, 20, 80)
    ridges = [best.ridge, 0.0]
    measured = measure(K, y, 20, ridges, np.random.default_rng(0))
    assert rows["best ridge", None]["measured"] == pytest.approx(measured[0], rel=1e-6)
    assert rows["no ridge", None]["measured"] == pytest.approx(measured[1])
    assert rows["best ridge", 20]["test"] > rows["best ridge", None]["test"]
    assert rows["no ridge", None]["of_variance"] == rows["no ridge", None]["test"] / y.var()
    assert document["alpha"] > 1
    assert document["sufficient_features"] > 20
    assert document["notes"] == [] or "power law" in document["notes"][0]


def test_points_give_the_same_as_their_kernel_and_features_a_linear_one(files):
    folder, _, _ = files
    same = plan(folder, "x.npy")
    assert same["kernel"] == "relu"
    assert same["predictions"] == plan(folder)["predictions"]
    assert plan(folder, "x.npy", kind=Kernel.linear)["kernel"] == "linear"


def test_labels_are_classes_or_numbers(files):
    folder, _, _ = files
    assert plan(folder, labels="classes.txt")["labels"] == "3 classes"
    assert plan(folder, labels="classes.txt", read_as=Labels.numbers)["labels"] == "numbers"
    with pytest.raises(BadInput, match="does not hold classes"):
        plan(folder, read_as=Labels.classes)


def test_few_points_and_large_samples_are_noted(files):
    folder, K, y = files
    assert "40 of 80 points" in plan(folder, n=40)["notes"][-1]
    np.save(folder / "K.npy", K[:30, :30])
    np.savetxt(folder / "y.csv", y[:30])
    assert "fewer than 40 points" in plan(folder, n=5)["notes"][0]


def test_a_spectrum_is_taken_as_it_is(files):
    folder, _, _ = files
    document = from_spectrum(folder / "spectrum.csv", 40, None, 0.3, 0.05, 0.1)
    i = np.arange(1, 101.0)
    asked = document["predictions"][-1]
    assert asked["test"] == pytest.approx(float(rf_risk(i**-1.5, i**-1.8, 40, np.inf, 0.3, 0.1).test))
    assert "measured" not in asked
    np.savetxt(folder / "mixed.csv", np.c_[i**-1.5, i**-1.8][::-1], delimiter=",")
    mixed = from_spectrum(folder / "mixed.csv", 40, None, 0.3, 0.05, 0.1)
    assert mixed["predictions"][-1]["test"] == pytest.approx(asked["test"])
    assert "sorted" in mixed["notes"][0]


def test_a_power_law_has_its_best_ratio():
    document = power_law(2.0, 2.5, 5.0)
    assert document["best_fitting_ratio"] == pytest.approx(0.2516, abs=5e-5)
    assert document["interpolate_up_to_noise"] == pytest.approx(0.25)
    assert min(r["over_best"] for r in document["excess_error"]) >= 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda K: K + np.triu(np.ones((80, 80)), 1), "square and not symmetric"),
        (lambda K: K - 0.5 * np.eye(80), "eigenvalue -"),
        (lambda K: np.where(np.eye(80) > 0, np.nan, K), "all numbers have to be finite"),
        (lambda K: K[:40, :40], "one row of labels a point"),
    ],
)
def test_what_is_no_kernel_is_refused(files, change, message):
    folder, K, _ = files
    np.save(folder / "K.npy", change(K))
    with pytest.raises(BadInput, match=message):
        plan(folder)


def test_bad_requests_are_named(files):
    folder, _, _ = files
    with pytest.raises(BadInput, match="--n 80"):
        plan(folder, n=80)
    with pytest.raises(BadInput, match="ridge=-1 is not allowed"):
        plan(folder, ridge=-1.0)
    with pytest.raises(BadInput, match="k=0 is not allowed"):
        plan(folder, features=0)
    with pytest.raises(BadInput, match="has 5 columns; give two"):
        from_spectrum(folder / "x.npy", 5, None, None, 0.01, 0.0)
    with pytest.raises(BadInput, match="alpha=0.9"):
        power_law(0.9, 1.5, 0.0)
    with pytest.raises(BadInput, match="give one of KERNEL"):
        command()
    with pytest.raises(BadInput, match="KERNEL needs LABELS"):
        command(kernel=folder / "K.npy")
    with pytest.raises(BadInput, match="--alpha needs --beta"):
        command(alpha=1.5)
    with pytest.raises(BadInput, match="--spectrum needs --n"):
        command(spectrum=folder / "spectrum.csv")


def test_tables_say_what_was_found(files, capsys):
    folder, _, _ = files
    command(kernel=folder / "K.npy", labels=folder / "y.csv", n=20)
    shown = capsys.readouterr().out
    assert "not trained on" in shown
    assert "Measured" in shown
    command(spectrum=folder / "spectrum.csv", n=20)
    assert "new points" in capsys.readouterr().out
    command(alpha=1.5, beta=2.0)
    assert "Interpolate: no ridge is best." in capsys.readouterr().out
    command(alpha=1.5, beta=1.2, noise=1.0)
    assert "0.553" in capsys.readouterr().out


@pytest.mark.slow
def test_the_command_prints_one_document(files, overparam):
    folder, _, _ = files
    done = overparam("tool", "random-features", str(folder / "K.npy"), str(folder / "y.csv"), "--n", "20", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["points"] == 80
    assert overparam("tool", "random-features").returncode == 2
