import base64
import io
import random
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from overparam.errors import BadInput
from overparam.examine.examples import Adapted, Examples, random_state_kept, read
from overparam.examine.thumbnails import Thumbnails

X, Y = torch.arange(20.0).view(10, 2), torch.arange(10)
MODEL = nn.Linear(2, 3)


def take(data, model=MODEL, limit=100, seed=0):
    return read(data, model, limit=limit, seed=seed, deadline=time.monotonic() + 60)


class Stream(IterableDataset):
    def __iter__(self):
        return iter(zip(X, Y, strict=True))


@pytest.mark.parametrize(
    "data",
    [
        (X, Y),
        TensorDataset(X, Y),
        DataLoader(TensorDataset(X, Y), batch_size=3, shuffle=True),
        DataLoader(Stream(), batch_size=3),
        [(X[:4], Y[:4]), (X[4:], Y[4:])].__iter__(),
        [{"x": row.numpy(), "label": int(y)} for row, y in zip(X, Y, strict=True)],
    ],
    ids=["tensors", "dataset", "loader", "stream", "batches", "mappings"],
)
def test_every_form_gives_the_same_examples(data):
    class Keyed(nn.Linear):
        def forward(self, x):
            return super().forward(x)

    found = take(data, Keyed(2, 3))
    assert found.total == 10
    assert torch.equal(found.x, X[found.positions])
    assert torch.equal(found.y, Y[found.positions])
    assert sorted(found.positions.tolist()) == list(range(10))


def test_a_limit_takes_a_random_part_that_the_seed_decides():
    one, two, other = take((X, Y), limit=4), take(TensorDataset(X, Y), limit=4), take((X, Y), limit=4, seed=1)
    assert torch.equal(one.positions, two.positions)
    assert len(other.positions) == 4
    assert not torch.equal(one.positions, other.positions)


def test_several_inputs_are_stacked_and_given_back_by_name():
    class Reader(nn.Module):
        def forward(self, input_ids, attention_mask):
            return SimpleNamespace(logits=(input_ids * attention_mask).float())

    rows = [
        {"input_ids": [1, 2, i], "attention_mask": [1, 0, 1], "labels": i % 2, "text": f"row {i}"} for i in range(5)
    ]
    found = take(rows, Reader())
    assert found.names == ("input_ids", "attention_mask")
    out = Adapted(Reader(), found.names)(found.x)
    assert out.tolist() == [[1.0, 0.0, float(i)] for i in found.positions.tolist()]
    assert found.texts[3] == "row 3"


@pytest.mark.parametrize("out", [lambda x: (x, 1), lambda x: {"logits": x}, lambda x: SimpleNamespace(logits=x)])
def test_logits_are_picked_from_structured_outputs(out):
    class Odd(nn.Module):
        def forward(self, x):
            return out(x)

    assert torch.equal(Adapted(Odd())(X), X)


def test_outputs_without_a_tensor_are_refused():
    class Odd(nn.Module):
        def forward(self, x):
            return {"loss": 1}

    with pytest.raises(BadInput, match="model gives a dict"):
        Adapted(Odd())(X)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (5, "data is a int"),
        ([], "no examples"),
        ((X, Y[:3]), "10 inputs and 3 labels"),
        ([(Image.new("L", (4, 4)), 0)], "give the data set a transform"),
        ([(torch.zeros(2), 0), (torch.zeros(3), 1)], "items must be tensors or arrays of one shape"),
        ([X[0]], "data gives Tensor"),
        ([{"x": [1.0, 2.0]}], "there must be one of labels, label"),
        ([{"a": [1, 2], "b": [1, 2, 3], "label": 0}], "differ in shape or kind"),
    ],
)
def test_data_that_are_none(data, words):
    class Any(nn.Module):
        def forward(self, **inputs):
            return inputs

    with pytest.raises(BadInput, match=words):
        take(data, Any())


def test_random_states_come_back_even_after_an_error():
    def draws():
        return random.random(), float(np.random.rand()), float(torch.rand(1))  # noqa: NPY002

    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    wanted = draws()
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    with pytest.raises(ZeroDivisionError), random_state_kept():
        draws()
        1 / 0  # noqa: B018
    assert draws() == wanted


def picture(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))


def test_pictures_keep_their_brightness_and_colours():
    x = torch.zeros(3, 3, 4, 4)
    x[0, 0], x[1] = 1.0, 1.0  # red, white, black
    found = Examples(x, torch.zeros(3), torch.arange(3), 3, (), {})
    shown = Thumbnails(found, None)
    red, white = (picture(shown.show(i, x[i])[0]) for i in range(2))
    assert red.shape == (96, 96, 3)
    assert red[0, 0].tolist() == [255, 0, 0]
    assert white[0, 0].tolist() == [255, 255, 255]


def test_texts_and_numbers_are_cut_short():
    found = Examples(torch.zeros(2, 9), torch.zeros(2), torch.arange(2), 2, (), {0: "word " * 100})
    shown = Thumbnails(found, None)
    assert len(shown.show(0, found.x[0])[1]) <= 140
    assert shown.show(1, found.x[1]) == ("", "0, 0, 0, 0, 0, 0, …")
    mine = Thumbnails(found, lambda i: f"example {i}")
    assert mine.show(1, found.x[1]) == ("", "example 1")
    assert Thumbnails(found, lambda i: Image.new("L", (8, 4))).show(0, found.x[0])[0].startswith("data:image/png")
