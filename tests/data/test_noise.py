import numpy as np
import pytest

from overparam.data.noise import permute_labels
from overparam.errors import BadInput


def test_class_counts_stay_and_the_input_is_not_changed():
    labels = np.repeat(np.arange(10), 100)
    before = labels.copy()
    noisy = permute_labels(labels, 0.3, seed=0)
    np.testing.assert_array_equal(labels, before)
    np.testing.assert_array_equal(np.bincount(noisy), np.bincount(labels))


def test_about_nine_tenths_of_the_chosen_become_wrong():
    labels = np.arange(20_000) % 10
    assert (permute_labels(labels, 0.1, seed=1) != labels).mean() == pytest.approx(0.09, abs=0.005)


def test_seed_decides_and_nothing_or_all_can_be_shuffled():
    labels = np.arange(200) % 10
    np.testing.assert_array_equal(permute_labels(labels, 0.5, seed=3), permute_labels(labels, 0.5, seed=3))
    assert not np.array_equal(permute_labels(labels, 0.5, seed=3), permute_labels(labels, 0.5, seed=4))
    np.testing.assert_array_equal(permute_labels(labels, 0.0, seed=0), labels)
    assert (permute_labels(labels, 1.0, seed=0) != labels).sum() > 150


@pytest.mark.parametrize("fraction", [-0.1, 1.1])
def test_refuses_fractions_out_of_range(fraction):
    with pytest.raises(BadInput, match=f"fraction={fraction}"):
        permute_labels(np.zeros(3, dtype=np.int64), fraction, seed=0)
