"""What users hand over, good and bad: each function is a target of `overparam examine`."""

import copy
import functools

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, TensorDataset

from overparam.data import load
from overparam.methods.training.fixed_steps import Recipe, batch_order, train_fixed_steps
from overparam.models.mlp import mlp
from overparam.models.streams import draw

WRONG = 40  # of 600 labels


def digits():
    """600 digits, of which 40 carry a wrong label: inputs, given labels, positions of the wrong ones."""
    images = load("digits")
    x = torch.from_numpy(images.images[:600].astype(np.float32)) / 255
    y = torch.from_numpy(images.labels[:600].copy())
    rows = torch.randperm(600, generator=draw(1))[:WRONG]
    y[rows] = (y[rows] + torch.randint(1, 10, (WRONG,), generator=draw(2))) % 10
    return x, y, set(rows.tolist())


@functools.cache
def fitted(steps=400, weight_decay=5e-4):
    """Step to network, trained on the noisy digits."""
    x, y, _ = digits()
    recipe = Recipe(steps=steps, batch_size=50, learning_rate=0.1, weight_decay=weight_decay)
    orders = batch_order(torch.arange(600), steps=steps, batch_size=50, generator=draw(3))[None]
    kept = train_fixed_steps([mlp(64, [64], 10, generator=draw(4))], x, y, orders=orders, recipe=recipe,
                             at_steps=(0, 40, 120))  # fmt: skip
    return {step: nets[0] for step, nets in kept.items()}


def trained():
    """A perceptron that has learned the noisy digits, with two checkpoints and its first state."""
    x, y, _ = digits()
    nets = copy.deepcopy(fitted())
    states = {step: net.state_dict() for step, net in nets.items()}
    return {
        "model": nets[400], "loss": functional.cross_entropy, "data": TensorDataset(x, y),
        "checkpoints": [states[40], states[120]], "initial": states[0], "classes": tuple("0123456789"), "name": "digits",
    }  # fmt: skip


def plain():
    """The bare form: a tuple, whole tensors, a loss as a module."""
    made = trained()
    x, y, _ = digits()
    return made["model"], nn.CrossEntropyLoss(), (x, y)


class Pictures(Dataset):
    """Items as torchvision gives them after a transform: a tensor and a number."""

    def __init__(self, broken=None):
        self.x, self.y, _ = digits()
        self.broken = broken

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        if i == self.broken:
            raise OSError(f"picture {i} is torn")
        torch.rand(1)  # as random transforms do
        np.random.rand()  # noqa: NPY002
        return self.x[i], int(self.y[i])


def pictures():
    return trained()["model"], functional.cross_entropy, Pictures()


def loader():
    return trained()["model"], functional.cross_entropy, DataLoader(Pictures(), batch_size=7, shuffle=True)


def torn():
    return trained()["model"], functional.cross_entropy, Pictures(broken=17)


def empty():
    return trained()["model"], functional.cross_entropy, (torch.zeros(0, 64), torch.zeros(0).long())


def regression():
    g = draw(5)
    x = torch.randn(200, 4, generator=g)
    return mlp(4, [16], 1, generator=g), nn.MSELoss(), (x, x[:, :1] ** 2)


def one_class():
    made = trained()
    return made["model"], functional.cross_entropy, (digits()[0], torch.zeros(600).long())


def with_nan():
    made = trained()
    with torch.no_grad():
        made["model"][1].weight[0, 0] = float("nan")
    return made["model"], functional.cross_entropy, made["data"]


def weird_loss():
    made = trained()
    return made["model"], lambda z, t: z, made["data"]


def wrong_shape():
    made = trained()
    return made["model"], functional.cross_entropy, (torch.zeros(50, 3), torch.arange(50) % 10)


def normalised():
    """Batch normalisation and dropout, left in training mode."""
    x, y, _ = digits()
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(512, 10)
    )
    model(x[:100])
    return model, functional.cross_entropy, (x, y)


def frozen():
    made = trained()
    made["model"][1].requires_grad_(False)
    return made["model"], functional.cross_entropy, made["data"]


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 10)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.head(torch.relu(self.second(torch.relu(self.first(x.flatten(1))))))


def tied():
    x, y, _ = digits()
    return Tied(), functional.cross_entropy, (x, y)


def text():
    """A small BERT on sentences of two kinds, as rows of token lists, with no loss given."""
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(vocab_size=60, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
                        max_position_embeddings=12, num_labels=2)  # fmt: skip
    rng = np.random.default_rng(0)
    rows = []
    for i in range(120):
        kind = i % 2
        ids = rng.integers(5 + 25 * kind, 30 + 25 * kind, 8).tolist()
        rows.append({
            "input_ids": ids,
            "attention_mask": [1] * 8,
            "label": kind,
            "text": f"sentence {i} of kind {kind}",
        })
    return {"model": BertForSequenceClassification(config), "data": rows, "name": "bert"}


def raises():
    raise RuntimeError("no such weights")


def nothing():
    return 5


def odd_key():
    return {**trained(), "los": 1}
