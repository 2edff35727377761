import pytest
import torch

from overparam.errors import BadInput
from overparam.methods.fewshot.episodes import TaskSampler

EXAMPLES = torch.arange(12 * 7, dtype=torch.float64).reshape(12, 7, 1)


def sampler(seed=0, **given):
    return TaskSampler(EXAMPLES, generator=torch.Generator().manual_seed(seed), **given)


def test_support_and_query_share_classes_and_nothing_else():
    tasks = sampler(ways=4, shots=2, queries=3).sample(200)
    assert tasks.support.shape == (200, 8, 1)
    assert tasks.query.shape == (200, 12, 1)
    for labels, rows in ((tasks.support_labels, tasks.support_rows), (tasks.query_labels, tasks.query_rows)):
        assert [int((labels[0] == k).sum()) for k in range(4)] == [len(labels[0]) // 4] * 4
        classes = torch.stack([rows[labels == k].reshape(200, -1) // 7 for k in range(4)], 1)
        assert (classes == classes[:, :, :1]).all()  # one class a label
        assert all(len(set(row.tolist())) == 4 for row in classes[:, :, 0])  # another for each label
    both = torch.cat([tasks.support_rows, tasks.query_rows], 1)
    assert all(len(set(row.tolist())) == 20 for row in both)


def test_classes_labels_and_examples_are_uniform():
    tasks = sampler().sample(6000)
    classes = tasks.support_rows // 7
    for label in range(5):  # any class can have any label: no start can know them
        counts = torch.bincount(classes[:, label], minlength=12)
        assert counts.min() > 400
        assert counts.max() < 600
    assert torch.bincount(tasks.query_rows.flatten() % 7).min() > 6000 * 5 / 7 * 0.9


def test_the_same_generator_gives_the_same_tasks_and_moves_on():
    one, two = sampler(3), sampler(3)
    first = one.sample(5)
    assert torch.equal(first.support_rows, two.sample(5).support_rows)
    assert not torch.equal(first.support_rows, one.sample(5).support_rows)


def test_chunks_are_the_batch_cut_up():
    tasks = sampler().sample(10)
    parts = list(tasks.chunks(4))
    assert [len(part) for part in parts] == [4, 4, 2]
    assert torch.equal(torch.cat([part.query for part in parts]), tasks.query)


@pytest.mark.parametrize("given", [{"ways": 0}, {"shots": 0}, {"ways": 13}, {"shots": 4, "queries": 4}])
def test_arguments_are_checked(given):
    with pytest.raises(BadInput, match="give counts|a task needs"):
        sampler(**given)
    with pytest.raises(BadInput, match="of shape"):
        TaskSampler(torch.ones(9, 9), generator=torch.Generator())
