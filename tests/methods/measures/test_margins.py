import pytest
import torch
from torch import nn

from overparam.errors import BadInput
from overparam.methods.measures.margins import classified, margins
from overparam.models.mlp import mlp


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def task(n=50, classes=4):
    return torch.randn(n, 6, generator=draw(1)), torch.randint(0, classes, (n,), generator=draw(2))


def test_against_one_example_at_a_time():
    model, (x, y) = mlp(6, [8], 4, generator=draw()).double(), task()
    x = x.double()
    model.requires_grad_(True)
    found = margins(model, (x, y))
    model.requires_grad_(False)
    for k in range(len(y)):
        z = model(x[k : k + 1])[0].tolist()
        right = z.pop(int(y[k]))
        assert float(found.values[k]) == pytest.approx(right - max(z), abs=1e-12)
    loss = nn.functional.cross_entropy(model(x), y)
    probabilities = model(x).softmax(1)
    assert found.cross_entropy == pytest.approx(float(loss), rel=1e-10)
    assert found.entropy == pytest.approx(float(-(probabilities * probabilities.log()).sum(1).mean()), rel=1e-10)
    assert found.accuracy == pytest.approx(float((model(x).argmax(1) == y).double().mean()))


@pytest.mark.parametrize(("n", "place"), [(50, 4), (10, 0), (7, 0), (1, 0), (70, 6)])
def test_gamma_is_the_value_at_the_floor_of_a_tenth_counted_from_one(n, place):
    model, (x, y) = mlp(6, [8], 4, generator=draw()), task(n)
    found = margins(model, (x, y))
    assert found.gamma == float(found.values.sort().values[place])


def test_batches_do_not_matter():
    model, (x, y) = mlp(6, [8], 4, generator=draw()), task()
    whole = margins(model, (x, y))
    parts = margins(model, list(zip(x.split(7), y.split(7), strict=True)))
    torch.testing.assert_close(whole.values, parts.values, rtol=1e-5, atol=1e-6)


def test_gamma_is_negative_where_a_tenth_is_wrong():
    z = torch.eye(2)[torch.zeros(10, dtype=torch.long)]
    y = torch.tensor([1] + 9 * [0])
    model = nn.Sequential(nn.Linear(2, 2, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(2))
    assert margins(model, (z, y)).gamma == -1.0


def test_the_model_and_the_random_state_stay_as_they_were():
    model = nn.Sequential(nn.Linear(6, 4), nn.Sequential(nn.Identity())).train()
    model[1].eval()
    state = torch.random.get_rng_state()
    margins(model, task())
    assert (model.training, model[0].training, model[1].training) == (True, True, False)
    assert torch.equal(state, torch.random.get_rng_state())


def test_every_token_counts():
    model = nn.Sequential(nn.Embedding(9, 5), nn.Linear(5, 9))
    tokens = torch.randint(0, 9, (3, 4), generator=draw())
    assert len(margins(model, (tokens, tokens)).values) == 12


class Stops:
    """A data set that raises in the middle."""

    def __iter__(self):
        yield task(4)
        raise OSError("disk is gone")


def nan_model():
    model = nn.Linear(6, 4)
    with torch.no_grad():
        model.weight[0, 0] = torch.nan
    return model


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: margins(nn.Linear(6, 4), task(), q=1.0), "q=1.0"),
        (lambda: margins(nan_model(), task()), "NaN"),
        (lambda: margins(nn.Linear(6, 4), (torch.zeros(0, 6), torch.zeros(0))), "no examples"),
        (lambda: margins(nn.Linear(6, 4), []), "no examples"),
        (lambda: margins(nn.Linear(6, 4), Stops()), "OSError at batch 1"),
        (lambda: margins(nn.Linear(6, 1), (task()[0], torch.zeros(50, dtype=torch.long))), "1 class"),
        (lambda: margins(nn.Linear(6, 4), (task()[0], torch.zeros(50))), "whole numbers"),
        (lambda: margins(nn.Linear(6, 3), task()), "run from 0 to 3"),
        (
            lambda: margins(nn.Linear(6, 4), (torch.full((2, 6), torch.inf), torch.zeros(2, dtype=torch.long))),
            "infinite",
        ),
        (lambda: margins(nn.Linear(6, 4).requires_grad_(False), task()), "no trainable weights"),
        (lambda: margins(nn.Sequential(nn.Dropout(), nn.Linear(6, 4)), task()), "model.eval"),
        (lambda: classified(torch.zeros(3), torch.zeros(3)), "must give logits"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(BadInput, match=message):
        call()
