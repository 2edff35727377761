import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from overparam.errors import BadInput
from overparam.methods.measures.objective import batches, check_model, losses


def test_batches_of_tensors_and_of_loaders_hold_the_same():
    x, y = torch.arange(10.0).view(5, 2), torch.arange(5)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=2)
    for data in ((x, y), loader, [(x[:3], y[:3]), (x[3:], y[3:])]):
        parts = list(batches(data, chunk=2))
        assert torch.equal(torch.cat([p[0] for p in parts]), x)
        assert torch.equal(torch.cat([p[1] for p in parts]), y)


@pytest.mark.parametrize("data", [(torch.zeros(0, 2), torch.zeros(0)), [], iter(())])
def test_no_examples_are_refused(data):
    with pytest.raises(BadInput, match="no examples"):
        list(batches(data))


def test_an_iterator_that_is_used_up_is_told():
    once = iter([(torch.zeros(2, 1), torch.zeros(2))])
    list(batches(once))
    with pytest.raises(BadInput, match="gone through again"):
        list(batches(once))


def test_odd_batches_are_named():
    with pytest.raises(BadInput, match="3 inputs and 2 labels"):
        list(batches((torch.zeros(3, 1), torch.zeros(2))))
    with pytest.raises(BadInput, match="batch 1 is a dict"):
        list(batches([(torch.zeros(1, 1), torch.zeros(1)), {"x": 1}]))
    with pytest.raises(BadInput, match="batch 0 holds 2 inputs and 1 labels"):
        list(batches([(torch.zeros(2, 1), torch.zeros(1))]))


def test_data_that_raise_are_told_with_their_batch():
    def broken():
        yield torch.zeros(2, 1), torch.zeros(2)
        raise OSError("disk gone")

    with pytest.raises(BadInput, match="OSError at batch 1: disk gone"):
        list(batches(broken()))


def test_losses_agree_whatever_the_form():
    torch.manual_seed(0)
    logits, y = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    expected = functional.cross_entropy(logits, y, reduction="none")
    plain = lambda z, t: -z.log_softmax(1)[0, t[0]]  # noqa: E731
    for loss_fn in (functional.cross_entropy, nn.CrossEntropyLoss(), nn.CrossEntropyLoss(reduction="sum")):
        torch.testing.assert_close(losses(loss_fn, logits, y), expected)
    one_hot = functional.one_hot(y, 3)
    by_vmap = losses(lambda z, t: -(z.log_softmax(1) * t).sum(), logits, one_hot)
    torch.testing.assert_close(by_vmap, expected)
    assert float(plain(logits[:1], y[:1])) == pytest.approx(float(expected[0]))


def test_several_targets_are_averaged_as_the_mean_would():
    torch.manual_seed(0)
    outputs, y = torch.randn(4, 3), torch.randn(4, 3)
    torch.testing.assert_close(losses(nn.MSELoss(), outputs, y).mean(), nn.MSELoss()(outputs, y))
    logits, tokens = torch.randn(2, 5, 7), torch.randint(0, 5, (2, 7))
    torch.testing.assert_close(
        losses(nn.CrossEntropyLoss(), logits, tokens).mean(), nn.CrossEntropyLoss()(logits, tokens)
    )


def test_the_loss_that_was_given_is_left_alone():
    loss_fn = nn.CrossEntropyLoss()
    losses(loss_fn, torch.zeros(2, 3), torch.tensor([0, 1]))
    assert loss_fn.reduction == "mean"


def test_losses_that_are_none_are_refused():
    with pytest.raises(BadInput, match="one value an example"):
        losses(lambda z, t, reduction: z.sum(), torch.zeros(2, 3), torch.zeros(2))
    with pytest.raises(BadInput, match="numbers for one example"):
        losses(lambda z, t: z, torch.zeros(2, 3), torch.zeros(2))
    with pytest.raises(BadInput, match="without weight"):
        losses(nn.CrossEntropyLoss(weight=torch.ones(3)), torch.zeros(2, 3), torch.tensor([0, 1]))


def test_models_that_cannot_be_measured_are_refused():
    model = nn.Linear(2, 2)
    check_model(model)
    with torch.no_grad():
        model.weight[0, 0] = np.nan
    with pytest.raises(BadInput, match="weight holds NaN"):
        check_model(model)
    with pytest.raises(BadInput, match="no trainable weights"):
        check_model(nn.Linear(2, 2).requires_grad_(False))
    with pytest.raises(BadInput, match="eval"):
        check_model(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
