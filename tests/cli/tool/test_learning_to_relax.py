import json

import numpy as np
import pytest
from scipy.io import mmwrite
from typer import Typer
from typer.testing import CliRunner

from overparam.cli.tool.learning_to_relax import command
from overparam.errors import BadInput
from overparam.methods.tuning.relaxation import Stencil5, sor
from overparam.methods.tuning.relaxation_theory import optimal_omega


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for k, shift in enumerate((0.0, 0.2, 0.4)):
        mmwrite(tmp_path / f"a{k}.mtx", Stencil5(5, shift).matrix())
    np.save(tmp_path / "b.npy", np.ones(25))
    app = Typer()
    app.command()(command)

    def call(*words):
        found = CliRunner().invoke(app, [str(w) for w in words])
        if found.exception and not isinstance(found.exception, SystemExit):
            raise found.exception
        return found.stdout

    return call


def test_one_system_gets_its_curve_and_the_formula(run):
    found = json.loads(run("a0.mtx", "--rhs", "b.npy", "--arms", 5, "--json"))
    assert found["iterations"] == [sor(Stencil5(5), np.ones(25), w).iterations for w in found["omegas"]]
    assert found["omega_best"] == found["omegas"][int(np.argmin(found["iterations"]))]
    assert found["optimal_omega"] == pytest.approx(optimal_omega(Stencil5(5)))
    text = run("a0.mtx", "--rhs", "b.npy", "--arms", 5)
    assert "by the formula" in text
    assert " best" in text


@pytest.mark.parametrize("words", [["--solver", "sor"], ["--solver", "ssor-cg", "--learner", "cheb"]])
def test_a_sequence_is_learned_and_compared_with_hindsight(run, words):
    given = ["a0.mtx", "a1.mtx", "a2.mtx", "--rhs", "b.npy", "--arms", 3, "--rounds", 30, *words]
    found = json.loads(run(*given, "--json"))
    paid, known = found["iterations"], found["hindsight"]
    assert len(found["costs"]) == found["systems"] == 30
    assert paid["learned"] == sum(found["costs"])
    assert known["best_of_each"] <= known["best_fixed"] <= known["omega_1"]
    assert known["best_of_each"] <= paid["learned"]
    assert found["notes"] == []
    assert "best fixed, in hindsight" in run(*given)


def test_without_hindsight_each_system_is_solved_once(run, monkeypatch):
    from overparam.methods.tuning import relaxation

    solves, solve = [], relaxation.sor
    monkeypatch.setattr(relaxation, "sor", lambda *a, **k: solves.append(a) or solve(*a, **k))
    words = ["a0.mtx", "a1.mtx", "--arms", 3, "--rounds", 12, "--no-hindsight"]
    assert json.loads(run(*words, "--json"))["hindsight"] is None
    assert len(solves) == 12
    assert "hindsight" not in run(*words)


def test_the_same_seed_gives_the_same_and_right_hand_sides_may_come_by_rows(run, tmp_path):
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).standard_normal((6, 25)))
    one = run("a0.mtx", "--rhs", "rows.npy", "--arms", 3, "--json")
    assert json.loads(one)["systems"] == 6
    assert "solves are few for 3 omegas" in json.loads(one)["notes"][0]
    assert run("a0.mtx", "--rhs", "rows.npy", "--arms", 3, "--json") == one
    assert run("a0.mtx", "--rhs", "rows.npy", "--arms", 3, "--json", "--seed", 1) != one


def test_a_context_may_be_one_number_a_matrix(run, tmp_path):
    (tmp_path / "c.csv").write_text("shift\n0\n0.2\n0.4\n")
    words = [
        "a0.mtx",
        "a1.mtx",
        "a2.mtx",
        "--learner",
        "cheb",
        "--context",
        "c.csv",
        "--arms",
        3,
        "--rounds",
        30,
        "--json",
    ]
    assert json.loads(run(*words))["systems"] == 30


def test_the_cap_is_said(run):
    found = json.loads(run("a0.mtx", "--arms", 2, "--max-iter", 5, "--json"))
    assert found["iterations"] == [5, 5]
    assert found["notes"] == ["2 of 2 solves stopped at the cap of 5 iterations"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a0.mtx", "--high", 2.0], r"--low 1, --high 2: give 0 < low < high < 2"),
        (["a0.mtx", "--low", 1.9, "--high", 1.1], "--low 1.9, --high 1.1"),
        (["a0.mtx", "--solver", "gauss"], "--solver gauss"),
        (["a0.mtx", "--learner", "best"], "--learner best"),
        (["gone.mtx"], "gone.mtx is not there"),
        (["wide.mtx"], r"wide.mtx has shape \(2, 3\)"),
        (["zero.mtx"], r"zero.mtx: A\[1, 1\] is zero"),
        (["indefinite.mtx"], "indefinite.mtx: SOR with omega=1 left the finite numbers at sweep"),
        (["indefinite.mtx", "--solver", "ssor-cg"], "indefinite.mtx: A is not positive definite"),
        (["a0.mtx", "--rhs", "short.npy"], r"short.npy has 3 entries a row and a0.mtx 25 rows"),
        (["a0.mtx", "a0.mtx", "--learner", "cheb"], "the context is the same for all systems"),
        (["a0.mtx", "a1.mtx", "--learner", "cheb", "--context", "short.npy"], "short.npy has 3 numbers for 2 matrices"),
        (["a0.mtx", "--tol", 0], "a0.mtx: tol=0.0"),
    ],
)
def test_bad_input_is_named(run, tmp_path, words, message):
    from scipy.sparse import csr_array

    mmwrite(tmp_path / "wide.mtx", csr_array(np.ones((2, 3))))
    mmwrite(tmp_path / "zero.mtx", csr_array(np.array([[1.0, 1.0], [1.0, 0.0]])))
    mmwrite(tmp_path / "indefinite.mtx", csr_array(np.array([[1.0, 3.0], [3.0, 1.0]])))
    np.save(tmp_path / "short.npy", np.ones(3))
    with pytest.raises(BadInput, match=message):
        run(*words)
