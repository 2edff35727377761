from overparam import data
from overparam.data.step_law import load_bootstrap, load_dense, load_moe


def test_tables_have_their_published_rows_in_float64(needs):
    needs("step-law")
    dense, sparse, fits = load_dense(), load_moe(), load_bootstrap()
    assert (len(dense), len(sparse), len(fits)) == (1911, 708, 1000)
    assert {"N", "D", "lr", "bs", "smooth loss"} <= set(dense)
    assert dense[["N", "D", "h", "bs"]].dtypes.unique().tolist() == ["float64"]
    assert dense.groupby(["N", "D"]).ngroups == 17
    assert sparse.groupby(["Na", "D"]).ngroups == 16
    assert (data.load("step-law", table="moe") == sparse).all().all()
