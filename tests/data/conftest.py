import pytest


@pytest.fixture
def needs():
    """Skip with a reason that names the data set when it is not at hand."""

    def check(name):
        from overparam import data

        if not data.available(name):
            pytest.skip(f"data set {name} is not at hand: set OVERPARAM_DATA to a folder that has {name}/")

    return check
