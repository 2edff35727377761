import json

import numpy as np
import pytest

from overparam.cli.tool.robust_recovery import described
from overparam.methods.theory.matrix_recovery import recover
from overparam.methods.theory.symmetric_sensing import SymmetricSensing


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("own"), np.random.default_rng(0)
    factor = rng.normal(size=(8, 2))
    a = rng.normal(size=(240, 8, 8))
    y = np.einsum("mij,ij->m", a, factor @ factor.T)
    y[:36] += 1e4
    np.save(folder / "A.npy", a)
    np.savetxt(folder / "y.csv", y)
    np.save(folder / "X.npy", factor @ factor.T)
    return folder


def test_the_command_recovers_and_saves(overparam, files):
    done = overparam(
        "tool", "robust-recovery", str(files / "A.npy"), str(files / "y.csv"), "--output", str(files / "found.npy")
    )
    assert done.returncode == 0, done.stderr
    assert "2 of 8" in done.stdout
    assert "15.0% of 240: 0, 1, 2" in done.stdout
    found, truth = np.load(files / "found.npy"), np.load(files / "X.npy")
    assert np.linalg.norm(found - truth) < 1e-3 * np.linalg.norm(truth)


def test_one_document_holds_all(overparam, files):
    given = ("--width", "4", "--rank-guess", "3", "--json")
    done = overparam("tool", "robust-recovery", str(files / "A.npy"), str(files / "y.csv"), *given)
    document = json.loads(done.stdout)
    assert document["outliers"] == list(range(36))
    assert document["outlier_share"] == 0.15
    assert (document["rank"], document["width"], document["advice"]) == (2, 4, [])
    assert document["held_out_scale"] < 1e-3 * document["norm"]


def test_advice_follows_what_is_wrong():
    rng = np.random.default_rng(1)
    problem = SymmetricSensing(rng.normal(size=(100, 8, 8)), rng.normal(size=100))
    advice = described(recover(problem))["advice"]
    assert any("much is left unexplained" in text for text in advice)
    assert any("nothing was held out" in text for text in described(recover(problem, hold_out=0))["advice"])
    zeros = recover(problem, hold_out=0, steps=1)
    assert any("no gap" in text for text in described(zeros)["advice"])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("A.npy", "X.npy"), "1 dimensions are needed"),
        (("X.npy", "y.csv"), "3 dimensions are needed"),
        (("A.npy", "y.csv", "--width", "9"), "from 1 to d=8"),
        (("A.npy", "y.csv", "--alpha", "0"), "alpha=0.0"),
        (("A.npy", "y.csv", "--rho", "1.5"), "rho=1.5"),
        (("A.npy", "y.csv", "--output", "found.csv"), "ends in .npy"),
        (("A.npy", "short.csv"), "240 matrices and"),
        (("flat.npy", "y.csv"), "one square matrix a measurement"),
        (("nan.npy", "y.csv"), "finite"),
    ],
)
def test_bad_input_is_one_line(overparam, files, given, says):
    np.savetxt(files / "short.csv", np.ones(7))
    np.save(files / "flat.npy", np.ones((240, 8, 7)))
    np.save(files / "nan.npy", np.full((240, 8, 8), np.nan))
    names = [str(files / word) if "." in word and not word[0].isdigit() else word for word in given]
    done = overparam("tool", "robust-recovery", *names)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stdout == ""


def test_divergence_names_its_step(overparam, files):
    own = (str(files / "A.npy"), str(files / "y.csv"))
    done = overparam("tool", "robust-recovery", *own, "--eta0", "80", "--rho", "1", "--steps", "400")
    assert (done.returncode, "left the finite numbers by step" in done.stderr) == (1, True)


def test_a_missing_folder_is_told(overparam, files):
    own = (str(files / "A.npy"), str(files / "y.csv"))
    done = overparam("tool", "robust-recovery", *own, "--steps", "5", "--output", str(files / "none" / "X.npy"))
    assert (done.returncode, "cannot be written" in done.stderr) == (1, True)
