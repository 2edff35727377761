import copy
import math
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional

from overparam.errors import BadInput
from overparam.methods.scaling.mup import MuReadout, mup_, mup_param_groups

X = torch.randn(12, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.arange(12) % 3


def make(width):
    return nn.Sequential(
        nn.Linear(8, width), nn.LayerNorm(width), nn.Tanh(), nn.Linear(width, 2 * width), nn.Tanh(), nn.Linear(2 * width, 3)
    ).double()  # fmt: skip


def seeded(width, seed=0):
    torch.manual_seed(seed)
    return make(width)


def train(model, optimiser, steps=5):
    for _ in range(steps):
        optimiser.zero_grad()
        functional.cross_entropy(model(X), Y).backward()
        optimiser.step()
    return model(X).detach()


def lr_by_name(model, **options):
    names = {id(p): name for name, p in model.named_parameters()}
    groups = mup_param_groups(model, 1.0, **options)
    return {names[id(p)]: (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_at_the_base_width_nothing_changes(optimizer):
    plain, model = seeded(16), mup_(seeded(16), 16, make=make)
    make_it = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[optimizer]
    one = train(plain, make_it(plain.parameters(), lr=0.01, weight_decay=0.1))
    two = train(model, make_it(mup_param_groups(model, 0.01, optimizer, weight_decay=0.1)))
    torch.testing.assert_close(one, two, rtol=0, atol=0)


def test_factors_are_those_of_the_table():
    model = mup_(seeded(64), 16, make=make)
    sgd = lr_by_name(model, optimizer="sgd", weight_decay=1.0)
    adam = lr_by_name(model, optimizer="adam", weight_decay=1.0)
    assert sgd["0.weight"] == sgd["1.weight"] == sgd["3.bias"] == sgd["5.weight"] == (4.0, 0.25)
    assert sgd["3.weight"] == sgd["5.bias"] == (1.0, 1.0)
    assert adam["3.weight"] == (0.25, 4.0)
    assert {v for k, v in adam.items() if k != "3.weight"} == {(1.0, 1.0)}


def test_a_rectangular_matrix_has_the_ratio_of_its_sides():
    def build(width):
        return nn.Sequential(
            nn.Linear(8, 10 * width), nn.Linear(10 * width, width * width), nn.Linear(width * width, 3)
        )

    model = mup_(build(8), 4, make=build)  # fan-in doubles, fan-out grows fourfold
    assert lr_by_name(model, optimizer="sgd")["1.weight"][0] == 2.0
    assert lr_by_name(model, optimizer="adam")["1.weight"][0] == 0.5


def test_initial_values_and_the_readout_are_rescaled_once():
    plain, model = seeded(64), mup_(seeded(64), 16, make=make)
    for k, factor in ((0, 1.0), (3, 1.0), (5, 2.0)):
        torch.testing.assert_close(model[k].weight, factor * plain[k].weight)
    for k, factor in ((0, 1.0), (3, 2.0), (5, 2.0)):
        torch.testing.assert_close(model[k].bias, factor * plain[k].bias)
    hidden = plain[:5](X)
    torch.testing.assert_close(model[5](hidden), hidden @ model[5].weight.T / 4 + model[5].bias)
    with pytest.raises(BadInput, match="second time would square"):
        mup_(model, 16, make=make)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_the_multiplier_can_be_traded_for_weights_and_rates(optimizer):
    """The gauge: W = w / m with its own rate makes the same steps as w behind the multiplier."""
    model = mup_(seeded(64), 16, make=make)
    plain = copy.deepcopy(model)
    readout = plain[5]
    plain[5] = nn.Linear(128, 3).double()
    with torch.no_grad():
        plain[5].weight.copy_(readout.weight / 4)
        plain[5].bias.copy_(readout.bias)
    groups = mup_param_groups(model, 0.1, optimizer, weight_decay=0.01)
    rates = lr_by_name(model, optimizer=optimizer)
    mine = []
    for name, p in plain.named_parameters():
        factor = rates[name][0]
        if name == "5.weight":
            factor = factor / 16 if optimizer == "sgd" else factor / 4
        mine.append({"params": [p], "lr": 0.1 * factor, "weight_decay": 0.01 / factor})
    kind = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}[optimizer]
    options = {"eps": 0.0} if optimizer == "adamw" else {}
    torch.testing.assert_close(
        train(plain, kind(mine, **options)), train(model, kind(groups, **options)), rtol=1e-8, atol=1e-8
    )


def test_a_base_model_and_a_delta_say_the_same():
    by_make, by_model = mup_(seeded(64), 16, make=make), mup_(seeded(64), base=make(16))
    assert by_make.mup_multipliers == by_model.mup_multipliers
    same_width = mup_(seeded(16), base=make(16), delta=make(32))
    assert lr_by_name(same_width, optimizer="adam")["3.weight"][0] == 1.0
    assert isinstance(same_width[5], MuReadout)


def test_copies_and_pickles_keep_their_multipliers():
    model = mup_(seeded(32), 16, make=make)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert lr_by_name(other) == lr_by_name(model)
        torch.testing.assert_close(other(X), model(X))


def test_states_go_between_plain_and_rescaled_models():
    model, plain = mup_(seeded(32), 16, make=make), seeded(32)
    assert list(model.state_dict()) == list(plain.state_dict())


def test_the_generator_of_torch_is_put_back():
    model = seeded(32)
    before = torch.get_rng_state()
    mup_(model, 16, make=make)
    assert torch.equal(before, torch.get_rng_state())


class Tied(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.embedding = nn.Embedding(11, width)
        self.layer = nn.Linear(width, width)
        self.head = nn.Linear(width, 11, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, ids):
        return self.head(self.layer(self.embedding(ids)))


def test_a_tied_readout_is_scaled_but_not_its_weight():
    torch.manual_seed(0)
    model = mup_(Tied(32), 8, make=Tied)
    torch.manual_seed(0)
    torch.testing.assert_close(model.embedding.weight, Tied(32).embedding.weight)
    assert (type(model.head), model.head.width_mult) == (MuReadout, 4.0)
    assert model.head.weight is model.embedding.weight


def test_transposed_convolutions_have_their_sides_the_other_way_round():
    def build(width):
        return nn.Sequential(nn.Conv2d(1, width, 3), nn.ConvTranspose2d(width, 2 * width**2, 3), nn.Flatten(), nn.Linear(64 * width**2, 2))  # fmt: skip

    assert lr_by_name(mup_(build(8), 4, make=build), optimizer="adam")["1.weight"][0] == 0.5


def test_frozen_parameters_are_left_out_and_wrappers_looked_through():
    model = mup_(seeded(32), 16, make=make)
    model[0].weight.requires_grad_(False)
    assert sum(len(g["params"]) for g in mup_param_groups(model, 0.1)) == len(list(model.parameters())) - 1
    assert len(mup_param_groups(nn.DataParallel(model), 0.1)) == len(mup_param_groups(model, 0.1))


def test_an_output_multiplier_is_the_users():
    readout = MuReadout(4, 2, output_mult=3.0).double()
    x = torch.ones(1, 4, dtype=torch.float64)
    torch.testing.assert_close(readout(x), 3 * x @ readout.weight.T + readout.bias)
    assert math.isclose(readout.width_mult, 1.0)


def odd(width):
    return nn.Sequential(nn.Linear(8, width), nn.Linear(width, 5 if width < 64 else 6))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: mup_(seeded(8)), "give either"),
        (lambda: mup_(seeded(8), 8), "give either"),
        (lambda: mup_(seeded(8), 8, make=make, base=make(8)), "give either"),
        (lambda: mup_(seeded(8), 0, make=make), "base_width=0"),
        (lambda: mup_(nn.Linear(8, 2), base=make(8)), "has another form in the base model"),
        (lambda: mup_(odd(64), 16, make=odd), "differ where width changes nothing"),
        (lambda: mup_(nn.Conv2d(4, 3, 1), base=nn.Conv2d(2, 3, 1)), "readout 'model' is a Conv2d"),
        (lambda: mup_(nn.Conv2d(4, 4, 4), base=nn.Conv2d(2, 2, 2)), "has 4 wide dimensions"),
        (lambda: mup_param_groups(seeded(8), 0.1), "has no width multipliers"),
        (lambda: mup_param_groups(mup_(seeded(8), 8, make=make), 0.1, "lion"), "optimizer='lion' is unknown"),
        (lambda: mup_param_groups(mup_(seeded(8), 8, make=make), 0.0), "lr=0.0"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(BadInput, match=words):
        call()


def test_what_was_added_or_computed_is_refused():
    model = mup_(seeded(8), 8, make=make)
    model.append(nn.Linear(3, 3))
    with pytest.raises(BadInput, match="was added after mup_"):
        mup_param_groups(model, 0.1)

    def normed(width):
        return nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(8, width)), nn.Linear(width, 2))

    with pytest.raises(BadInput, match="computed from other parameters"):
        mup_(normed(8), 8, make=normed)
