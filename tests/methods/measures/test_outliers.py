import numpy as np
import pytest
import torch

from overparam.errors import BadInput
from overparam.methods.measures.outliers import count_outliers

BULK = np.geomspace(0.1, 1e-6, 300)


def test_outliers_above_a_bulk_are_counted_three_ways():
    report = count_outliers([9.0, 8.0, 7.0, 6.0, *BULK], n_classes=5)
    assert (report.gap_index, report.second_index, report.above_edge) == (4, 4, 4)
    assert report.gap_ratio == pytest.approx(60)
    assert report.km1_ratio == pytest.approx(60)
    assert report.edge == pytest.approx(np.quantile(BULK[11:], 0.99))


def test_a_lone_leader_stops_the_gap_but_not_the_second():
    report = count_outliers([100.0, 2.0, 1.9, 1.8, *BULK], n_classes=5)
    assert (report.gap_index, report.second_index) == (1, 4)


def test_order_scale_and_container_do_not_matter():
    values = np.array([9.0, 8.0, 7.0, *BULK, -0.05])
    base = count_outliers(values, n_classes=4)
    mixed = count_outliers(torch.tensor(np.random.default_rng(0).permutation(values)), n_classes=4)
    scaled = count_outliers(list(1e3 * values), n_classes=4)
    assert base == mixed
    assert (scaled.gap_index, scaled.above_edge) == (base.gap_index, base.above_edge)
    assert scaled.edge == pytest.approx(1e3 * base.edge)


def test_bulk_of_no_outliers_has_none_above_its_edge():
    assert count_outliers(np.random.default_rng(0).uniform(0.9, 1.1, 500)).above_edge == 0


def test_the_top_alone_shows_no_edge():
    report = count_outliers([5.0, 4.0, 0.1, 0.09])
    assert (report.gap_index, report.above_edge, report.edge, report.km1_ratio) == (2, None, None, None)
    assert count_outliers([5.0, 4.0], n_classes=10).km1_ratio is None
    assert count_outliers([5.0, 4.0]).second_index is None


def test_only_the_first_indices_are_looked_at():
    far = [1.0 * 0.9**i for i in range(40)] + [1e-6]
    assert count_outliers(far).gap_index <= 25
    assert count_outliers(far).gap_ratio == pytest.approx(1 / 0.9)


def test_refuses():
    for values, options, words in (
        ([1.0, np.nan], {}, "1 numbers that are not finite"),
        ([1.0, -2.0], {}, "1 positive values of 2"),
        ([], {}, "0 positive"),
        ([2.0, 1.0], {"n_classes": 1}, "n_classes=1"),
    ):
        with pytest.raises(BadInput, match=words):
            count_outliers(values, **options)
