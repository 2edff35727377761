import numpy as np
import pytest

from overparam.errors import BadInput
from overparam.lab import artefact
from overparam.lab.artefacts import recording

CALLS = []


@artefact()
def squares(n: int, scale: float = 1.0) -> dict[str, np.ndarray]:
    """Compute squares."""
    CALLS.append(n)
    return {"squares": scale * np.arange(n) ** 2}


@pytest.fixture(autouse=True)
def _forget():
    CALLS.clear()


def test_the_second_call_reads(home):
    first = squares(4)["squares"]
    assert (squares(n=4, scale=1.0)["squares"] == first).all()
    assert CALLS == [4]
    squares(4, scale=2.0)
    assert CALLS == [4, 4]


def test_a_damaged_file_is_computed_again(home):
    squares(5)
    (file,) = (home / "cache" / "artefacts").glob("*/*.npz")
    file.write_bytes(file.read_bytes()[:100])
    assert (squares(5)["squares"] == np.arange(5) ** 2).all()
    assert CALLS == [5, 5]
    assert not list((home / "cache" / "artefacts").glob("*/*.part"))


def test_what_is_made_is_recorded_once(home):
    with recording() as made:
        squares(6)
        squares(6)
    assert [m["name"] for m in made] == ["squares"]


def test_arguments_must_have_a_name_in_the_key():
    with pytest.raises(BadInput, match="n is list; pass int, float, str or bool"):
        squares([1])
