import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from overparam.errors import BadInput
from overparam.methods.training.coherent_gradients import (
    RollingMedian,
    learning_time,
    median_of_groups,
    robust_step,
    winsorized_mean,
)
from overparam.models.mlp import mlp


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def slow_winsor(g, c):
    """By sorting each coordinate."""
    out = []
    for column in g.T:
        s = column.sort().values
        out.append(column.clamp(s[c], s[len(s) - 1 - c]).mean())
    return torch.stack(out)


@pytest.mark.parametrize("c", [0, 1, 3, 4])
def test_winsorized_mean_agrees_with_sorting(c):
    g = torch.randn(9, 30, generator=draw())
    torch.testing.assert_close(winsorized_mean(g, c), slow_winsor(g, c))


def test_winsorized_mean_ignores_what_few_examples_say():
    g = torch.zeros(10, 2)
    g[0, 0] = 100.0  # one example alone
    g[:, 1] = 1.0  # all agree
    assert winsorized_mean(g, 1).tolist() == [0.0, 1.0]


def test_winsorized_mean_does_not_depend_on_order_and_scales():
    g = torch.randn(9, 5, generator=draw())
    torch.testing.assert_close(winsorized_mean(g.flip(0), 2), winsorized_mean(g, 2))
    torch.testing.assert_close(winsorized_mean(3 * g, 2), 3 * winsorized_mean(g, 2))


@pytest.mark.parametrize("c", [-1, 2, 5])
def test_winsorized_mean_needs_something_inside(c):
    with pytest.raises(BadInput, match=f"c={c}"):
        winsorized_mean(torch.zeros(4, 2), c)


def test_median_of_equal_groups_is_their_mean():
    g = torch.randn(5, generator=draw())
    assert torch.equal(median_of_groups(g.expand(3, 5)), g)
    with pytest.raises(BadInput, match="4 groups"):
        median_of_groups(torch.zeros(4, 2))


def test_rolling_median_of_a_constant_is_the_constant():
    rolling, g = RollingMedian(), torch.randn(5, generator=draw())
    assert all(torch.equal(rolling.update(g), g) for _ in range(5))


def test_rolling_median_goes_on_from_a_checkpoint_and_copies_what_it_keeps():
    rows = torch.randn(6, 4, generator=draw())
    one, two = RollingMedian(), RollingMedian()
    for row in rows[:4]:
        held = row.clone()
        one.update(held)
        held.zero_()
    two.load_state_dict(copy.deepcopy(one.state_dict()))
    assert torch.equal(one.update(rows[4]), two.update(rows[4]))
    assert torch.equal(one.update(rows[5]), rows[3:6].median(0).values)


def test_rolling_median_refuses_another_model_and_even_windows():
    rolling = RollingMedian()
    rolling.update(torch.zeros(3))
    with pytest.raises(BadInput, match="make a new RollingMedian"):
        rolling.update(torch.zeros(4))
    with pytest.raises(BadInput, match="window=2"):
        RollingMedian(2)


def setting():
    g = draw()
    return mlp(4, [6], 3, generator=g), torch.randn(12, 4, generator=g), torch.randint(0, 3, (12,), generator=g)


def after(rule, **options):
    model, x, y = setting()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    value = robust_step(model, functional.cross_entropy, x, y, optimizer, rule=rule, **options)
    return value, torch.cat([p.detach().flatten() for p in model.parameters()])


def plain():
    model, x, y = setting()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss = functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return float(loss.detach()), torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize(
    ("rule", "options"),
    [
        ("mean", {}),
        ("winsor", {"c": 0}),
        ("m3", {"k": 1, "generator": draw()}),
        ("rm3", {"state": RollingMedian()}),
    ],
)
def test_each_rule_has_plain_descent_as_its_limit(rule, options):
    (loss, weights), (value, found) = plain(), after(rule, **options)
    assert value == pytest.approx(loss, rel=1e-5)
    torch.testing.assert_close(found, weights)


def test_m3_is_the_median_of_the_gradients_of_three_parts():
    model, x, y = setting()
    before = torch.cat([p.detach().flatten() for p in model.parameters()])
    rows = torch.randperm(12, generator=draw(5)).chunk(3)
    parts = []
    for r in rows:
        grads = torch.autograd.grad(functional.cross_entropy(model(x[r]), y[r]), list(model.parameters()))
        parts.append(torch.cat([g.flatten() for g in grads]))
    _, found = after("m3", k=3, generator=draw(5))
    torch.testing.assert_close(found, before - 0.1 * torch.stack(parts).median(0).values)


def test_frozen_weights_stay():
    model, x, y = setting()
    model[1].requires_grad_(False)
    frozen = model[1].weight.clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    robust_step(model, functional.cross_entropy, x, y, optimizer, rule="winsor", c=2)
    assert torch.equal(model[1].weight, frozen)
    assert model[1].weight.grad is None


def test_bad_input():
    with pytest.raises(BadInput, match="rule='mode'"):
        after("mode")
    with pytest.raises(BadInput, match="pass generator"):
        after("m3")
    with pytest.raises(BadInput, match="k=2"):
        after("m3", k=2, generator=draw())
    with pytest.raises(BadInput, match="k=13"):
        after("m3", k=13, generator=draw())
    with pytest.raises(BadInput, match="state=RollingMedian"):
        after("rm3")
    with pytest.raises(BadInput, match="c=6"):
        after("winsor", c=6)
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    with pytest.raises(BadInput, match="eval"):
        robust_step(model, functional.cross_entropy, *setting()[1:], torch.optim.SGD(model.parameters(), lr=0.1))


def test_learning_time_agrees_with_a_search():
    history = torch.rand(8, 50, generator=draw()) < 0.7
    slow = [next((t for t in range(9) if bool(history[t:, i].all())), 8) for i in range(50)]
    assert learning_time(history).tolist() == slow
    with pytest.raises(BadInput, match="pass \\(epochs, examples\\)"):
        learning_time(torch.zeros(3))
