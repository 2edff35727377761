import pytest
import torch
from torch import nn

from overparam.errors import BadInput
from overparam.methods.measures.example_scores import el2n
from overparam.methods.measures.grand import check_scoring, columns, grand
from overparam.models.cnn import cnn
from overparam.models.mlp import mlp
from overparam.models.resnet import resnet18


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def images(n=6, channels=3, size=8, classes=4):
    x = torch.randn(n, channels, size, size, generator=draw(1), dtype=torch.float64)
    return x, torch.randint(0, classes, (n,), generator=draw(2))


def one_by_one(model, x, y):
    """Oracle: an ordinary backward pass for each example."""
    norms = []
    for k in range(len(y)):
        loss = nn.functional.cross_entropy(model(x[k : k + 1]), y[k : k + 1])
        gradients = torch.autograd.grad(loss, [p for p in model.parameters() if p.requires_grad])
        norms.append(torch.cat([g.flatten() for g in gradients]).norm())
    return torch.stack(norms)


def warmed(model):
    """Running statistics other than zero and one, as after some training."""
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(generator=draw(3))
            layer.running_var.uniform_(0.5, 2.0, generator=draw(4))
            nn.init.uniform_(layer.weight, 0.5, 2.0, generator=draw(5))
    return model.eval()


class Tokens(nn.Module):
    """A linear layer applied at several positions."""

    def __init__(self, wide):
        super().__init__()
        self.embed = nn.Linear(5, 2 if wide else 9)
        self.head = nn.Linear(2 if wide else 9, 4)

    def forward(self, x):
        return self.head(torch.tanh(self.embed(x)).mean(1))


CASES = {
    "perceptron": lambda: (mlp(192, [7], 4, generator=draw()), *images()),
    "convolutions": lambda: (cnn(3, 4, widths=(5, 6), generator=draw()), *images()),
    "positions outnumber weights": lambda: (
        nn.Sequential(nn.Conv2d(3, 2, 1), nn.Flatten(), nn.Linear(128, 4)),
        *images(),
    ),
    "grouped, dilated, strided, without bias": lambda: (
        nn.Sequential(
            nn.Conv2d(4, 6, 3, stride=2, padding=2, dilation=2, groups=2, bias=False), nn.Flatten(), nn.Linear(96, 4)
        ),
        *images(channels=4),
    ),
    "residual network": lambda: (warmed(resnet18(3, 4, width=3, generator=draw())), *images()),
    "few positions": lambda: (Tokens(False), torch.randn(6, 2, 5, generator=draw()), images()[1]),
    "many positions": lambda: (Tokens(True), torch.randn(6, 30, 5, generator=draw()), images()[1]),
    "flat batch normalisation": lambda: (
        nn.Sequential(nn.Flatten(), nn.Linear(192, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 4)).eval(),
        *images(),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_closed_forms_and_vmap_equal_one_backward_pass_an_example(case):
    model, x, y = CASES[case]()
    model, x = model.double(), x.double()
    expected = one_by_one(model, x, y)
    torch.testing.assert_close(grand(model, x, y, method="hooks"), expected, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(grand(model, x, y, method="vmap"), expected, rtol=1e-9, atol=1e-12)


def test_closed_form_equals_vmap_in_single_precision():
    model, x, y = CASES["convolutions"]()
    torch.testing.assert_close(
        grand(model, x.float(), y, method="hooks"), grand(model, x.float(), y, method="vmap"), rtol=1e-5, atol=1e-6
    )


def test_of_softmax_regression_is_el2n_times_the_augmented_input_norm():
    x, y = torch.randn(20, 6, generator=draw(), dtype=torch.float64), torch.arange(20) % 3
    model = nn.Linear(6, 3).double()
    expected = el2n(model, (x, y)) * (x.square().sum(1) + 1).sqrt()
    torch.testing.assert_close(grand(model, x, y), expected, rtol=1e-12, atol=0)


def test_chunks_and_order_do_not_matter():
    model, x, y = CASES["convolutions"]()
    model = model.double()
    whole = grand(model, x, y)
    torch.testing.assert_close(grand(model, x, y, chunk=1), whole)
    swap = torch.randperm(len(y), generator=draw())
    torch.testing.assert_close(grand(model, x[swap], y[swap]), whole[swap])


def test_last_layer_and_frozen_weights():
    model, x, y = CASES["perceptron"]()
    model = model.double()
    last = grand(model, x, y, layers="last")
    torch.testing.assert_close(last, grand(model, x, y, layers="last", method="vmap"))
    assert (last < grand(model, x, y)).all()
    model[1].requires_grad_(False)
    torch.testing.assert_close(grand(model, x, y), last)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.LayerNorm(4)), "LayerNorm"),
        (
            nn.Sequential(nn.Conv2d(3, 2, 3, padding=1, padding_mode="reflect"), nn.Flatten(), nn.Linear(128, 4)),
            "Conv2d",
        ),
    ],
)
def test_auto_falls_back_to_vmap(model, reason):
    x, y = images()
    model = model.double()
    torch.testing.assert_close(grand(model, x, y), one_by_one(model, x, y))
    with pytest.raises(BadInput, match=reason):
        grand(model, x, y, method="hooks")


class Twice(nn.Module):
    """One layer used twice."""

    def __init__(self, shared=False):
        super().__init__()
        self.inner, self.other, self.head = nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, 4)
        if shared:
            self.other.weight = self.inner.weight

    def forward(self, x):
        second = self.other if self.other.weight is self.inner.weight else self.inner
        return self.head(torch.tanh(second(torch.tanh(self.inner(x)))) + 0 * self.other(x).sum())


@pytest.mark.parametrize(("shared", "reason"), [(False, "used more or less than once"), (True, "two layers share")])
def test_weights_that_are_used_twice_are_not_counted_apart(shared, reason):
    model, x = Twice(shared).double(), torch.randn(6, 5, generator=draw(), dtype=torch.float64)
    y = images()[1]
    torch.testing.assert_close(grand(model, x, y), one_by_one(model, x, y))
    with pytest.raises(BadInput, match=reason):
        grand(model, x, y, method="hooks")


def test_partly_frozen_layer_is_left_to_vmap():
    model, x, y = CASES["perceptron"]()
    model = model.double()
    model[1].bias.requires_grad_(False)
    torch.testing.assert_close(grand(model, x, y), one_by_one(model, x, y))


@pytest.mark.parametrize(
    "layer", [nn.BatchNorm1d(3), nn.Dropout(0.5), nn.BatchNorm1d(3, track_running_stats=False).eval()]
)
def test_layers_that_use_the_batch_or_chance_are_refused(layer):
    with pytest.raises(BadInput, match=r"model\.eval"):
        check_scoring(nn.Sequential(nn.Linear(3, 3), layer))


def test_refuses_bad_arguments():
    model, x, y = CASES["perceptron"]()
    model = model.double()
    with pytest.raises(BadInput, match="labels 0 to 4; pass 0 to 3"):
        grand(model, x, torch.tensor([0, 1, 2, 3, 4, 0]))
    with pytest.raises(BadInput, match="pass 0 to 3"):
        grand(model, x, y - 5, method="vmap")
    with pytest.raises(BadInput, match="layers='first'"):
        grand(model, x, y, layers="first")
    with pytest.raises(BadInput, match="no trainable weights"):
        grand(model.requires_grad_(False), x, y)


def test_no_examples_give_no_scores():
    model, x, y = CASES["perceptron"]()
    assert grand(model.double(), x[:0], y[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"), [(3, 1, 1, 1), (2, 2, 0, 1), ((3, 2), (2, 1), (1, 2), (2, 1))]
)
def test_patches_are_those_of_unfold(kernel, stride, padding, dilation):
    layer = nn.Conv2d(2, 3, kernel, stride, padding, dilation)
    a = torch.randn(4, 2, 9, 7, generator=torch.Generator().manual_seed(0))
    expected = nn.functional.unfold(a, kernel, dilation, padding, stride)
    torch.testing.assert_close(columns(layer, a), expected, rtol=0, atol=0)
    torch.testing.assert_close(columns(layer, a.to(memory_format=torch.channels_last)), expected, rtol=0, atol=0)
