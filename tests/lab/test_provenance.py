import overparam
from overparam.lab.provenance import provenance


def test_provenance_names_version_libraries_and_machine():
    found = provenance()
    assert found["version"] == overparam.__version__
    assert found["libraries"]["numpy"]
    assert found["cores"] >= 1
    assert found["threads"] == 1
