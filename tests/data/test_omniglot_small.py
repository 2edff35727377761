import numpy as np
import pytest
from PIL import Image

from overparam import data
from overparam.data.omniglot_small import SIDE, load_omniglot_small
from overparam.errors import BadInput


def test_both_sets_have_their_published_characters(needs):
    needs("omniglot-small")
    one, two = load_omniglot_small(subset=1, size=14), data.load("omniglot-small", subset=2, size=14)
    counts = {name: one.alphabets.count(name) for name in dict.fromkeys(one.alphabets)}
    assert counts == {"Balinese": 24, "Early_Aramaic": 22, "Greek": 24, "Korean": 40, "Latin": 26}
    assert (len(two), two.images.shape) == (156, (156, 20, 14, 14))
    assert set(one.alphabets) & set(two.alphabets) == {"Greek", "Latin"}
    shared = [s.images[[name == "Greek" for name in s.alphabets]] for s in (one, two)]
    np.testing.assert_array_equal(*shared)  # the very same drawings: a leak if both sets keep them


def test_alphabets_can_be_left_out_or_picked(needs):
    needs("omniglot-small")
    fresh = load_omniglot_small(subset=2, size=14, without=("Greek", "Latin"))
    assert len(fresh) == 106
    picked = load_omniglot_small(subset=2, size=14, only=("Tagalog",))
    np.testing.assert_array_equal(picked.images, fresh.images[-17:])


def test_images_are_shrunk_like_a_bilinear_filter_does(needs):
    needs("omniglot-small")
    full = load_omniglot_small(subset=2, size=SIDE, only=("Tagalog",)).images[:, :2].reshape(-1, SIDE, SIDE)
    assert set(np.unique(full)) == {0.0, 1.0}
    assert 0.01 < full.mean() < 0.15  # ink is 1, and rare
    ours = load_omniglot_small(subset=2, only=("Tagalog",)).images[:, :2].reshape(-1, 28, 28)
    for image, small in zip(full, ours, strict=True):
        peer = Image.fromarray(image, mode=None).resize((28, 28), Image.Resampling.BILINEAR)
        np.testing.assert_allclose(small, np.asarray(peer), atol=1e-5)


@pytest.mark.parametrize(
    ("given", "says"),
    [({"subset": 3}, "subset=3"), ({"size": 106}, "size=106"), ({"without": ("Tagalog",)}, "'Tagalog' is not in")],
)
def test_arguments_are_checked(given, says, needs):
    needs("omniglot-small")
    with pytest.raises(BadInput, match=says):
        load_omniglot_small(**given)
