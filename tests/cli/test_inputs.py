import numpy as np
import pytest
import scipy.io
from scipy import sparse as sp

from overparam.cli import inputs
from overparam.errors import BadInput


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.csv", "a.tsv", "a.txt"])
def test_an_array_is_the_same_in_every_format(tmp_path, name):
    wanted = np.array([[1.5, -2.0], [3e-7, 4.0]])
    path = tmp_path / name
    if name == "a.npy":
        np.save(path, wanted)
    elif name == "a.npz":
        np.savez(path, wanted)
    else:
        np.savetxt(path, wanted, delimiter={"a.csv": ",", "a.tsv": "\t"}.get(name, " "), header="x", fmt="%.17g")
    np.testing.assert_array_equal(inputs.array(path, dimensions=2), wanted)


def test_a_line_of_names_may_lead_and_a_column_is_a_vector(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("value\n1\n2\n3\n")
    np.testing.assert_array_equal(inputs.array(path, dimensions=1), [1, 2, 3])


def test_bad_arrays_are_named(tmp_path):
    with pytest.raises(BadInput, match="is not there"):
        inputs.array(tmp_path / "none.npy", dimensions=1)
    for text, said in (("1,2\n3,x\n", "cannot be read"), ("", "dimensions|empty"), ("1,nan\n", r"nan at \(0, 1\)")):
        (tmp_path / "a.csv").write_text(text)
        with pytest.raises(BadInput, match=said):
            inputs.array(tmp_path / "a.csv", dimensions=2)
    np.save(tmp_path / "a.npy", np.ones((2, 2, 2)))
    with pytest.raises(BadInput, match="3 dimensions|2, 2, 2"):
        inputs.array(tmp_path / "a.npy", dimensions=2)
    np.savez(tmp_path / "two.npz", a=[1], b=[2])
    with pytest.raises(BadInput, match="it holds a, b"):
        inputs.array(tmp_path / "two.npz", dimensions=1)
    (tmp_path / "a.xls").write_text("1")
    with pytest.raises(BadInput, match="ending .xls"):
        inputs.array(tmp_path / "a.xls", dimensions=1)


def test_sparse_matrices_come_as_csr(tmp_path):
    wanted = sp.csr_array(np.diag([2.0, 3.0]))
    scipy.io.mmwrite(tmp_path / "a.mtx", wanted)
    sp.save_npz(tmp_path / "a.npz", wanted)
    for name in ("a.mtx", "a.npz"):
        np.testing.assert_array_equal(inputs.sparse(tmp_path / name).toarray(), wanted.toarray())
    scipy.io.mmwrite(tmp_path / "b.mtx", sp.csr_array(np.ones((2, 3))))
    with pytest.raises(BadInput, match="a square matrix"):
        inputs.sparse(tmp_path / "b.mtx")
    scipy.io.mmwrite(tmp_path / "c.mtx", sp.csr_array(np.diag([np.inf, 1.0])))
    with pytest.raises(BadInput, match="not finite"):
        inputs.sparse(tmp_path / "c.mtx")
    with pytest.raises(BadInput, match="is not there"):
        inputs.sparse(tmp_path / "d.mtx")
    (tmp_path / "e.mtx").write_text("no matrix")
    with pytest.raises(BadInput, match="cannot be read"):
        inputs.sparse(tmp_path / "e.mtx")


def test_logs_of_all_kinds_give_the_same_columns(tmp_path):
    (tmp_path / "a.csv").write_text("step,train,test,note\n0,0.5,0.5,a\n1,,0.6,b\n2,1,0.9,c\n")
    (tmp_path / "a.jsonl").write_text(
        '{"step": 0, "train": 0.5, "test": 0.5}\n{"step": 1, "test": 0.6}\n{"step": 2, "train": 1, "test": 0.9}\n'
    )
    for name in ("a.csv", "a.jsonl"):
        found = inputs.table(tmp_path / name, ("step", "train", "test"))
        np.testing.assert_array_equal(found["step"], [0, 2])
        np.testing.assert_array_equal(found["test"], [0.5, 0.9])
    for needed, said in ((("loss",), "no column 'loss'; it has step"), (("note",), "not numeric")):
        with pytest.raises(BadInput, match=said):
            inputs.table(tmp_path / "a.csv", needed)
    (tmp_path / "b.csv").write_text("step,train\n1,\n")
    with pytest.raises(BadInput, match="no line with all of"):
        inputs.table(tmp_path / "b.csv", ("step", "train"))
    with pytest.raises(BadInput, match="is not there"):
        inputs.table(tmp_path / "none.csv", ("step",))
