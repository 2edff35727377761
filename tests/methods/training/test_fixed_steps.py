import math

import pytest
import torch
from torch import nn

from overparam.errors import BadInput, Diverged
from overparam.methods.training.fixed_steps import Recipe, batch_order, logits_of, train_fixed_steps
from overparam.models.cnn import cnn
from overparam.models.mlp import mlp
from overparam.models.resnet import resnet18


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def problem(n=48):
    x = torch.randn(n, 6, generator=draw(9), dtype=torch.float64)
    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()


def orders_of(m, steps, n=48, batch=8):
    return torch.stack([
        batch_order(torch.arange(n), steps=steps, batch_size=batch, generator=draw(k)) for k in range(m)
    ])


def nets_of(m):
    return [mlp(6, [5, 4], 3, generator=draw(k)).double() for k in range(m)]


def by_hand(model, x, y, order, recipe):
    """Oracle: one network, Nesterov's update written out."""
    weights = [p.detach().clone().requires_grad_() for p in model.parameters()]
    names = [name for name, _ in model.named_parameters()]
    speed = [torch.zeros_like(w) for w in weights]
    for step, rows in enumerate(order):
        logits = torch.func.functional_call(model, dict(zip(names, weights, strict=True)), (x[rows],))
        gradients = torch.autograd.grad(nn.functional.cross_entropy(logits, y[rows]), weights)
        with torch.no_grad():
            for k, (w, g) in enumerate(zip(weights, gradients, strict=True)):
                g = g + recipe.weight_decay * w
                speed[k] = g.clone() if step == 0 else recipe.momentum * speed[k] + g
                w -= recipe.rate(step) * (g + recipe.momentum * speed[k])
    return weights


@pytest.mark.parametrize("schedule", ["cosine", "step", "constant"])
def test_stacked_networks_equal_separate_nesterov_descents(schedule):
    (x, y), nets, recipe = problem(), nets_of(3), Recipe(steps=15, batch_size=8, schedule=schedule)
    orders = orders_of(3, 15)
    trained = train_fixed_steps(nets, x, y, orders=orders, recipe=recipe)[15]
    for k in range(3):
        for found, expected in zip(trained[k].parameters(), by_hand(nets[k], x, y, orders[k], recipe), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_other_networks_take_the_same_path_one_after_another():
    (x, y), recipe = problem(), Recipe(steps=5, batch_size=8)
    nets = [nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3)).double() for _ in range(2)]
    trained = train_fixed_steps(nets, x, y, orders=orders_of(2, 5), recipe=recipe)[5]
    for k in range(2):
        for found, expected in zip(
            trained[k].parameters(), by_hand(nets[k], x, y, orders_of(2, 5)[k], recipe), strict=True
        ):
            torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_a_network_does_not_depend_on_its_neighbours_nor_on_its_place():
    (x, y), nets, recipe = problem(), nets_of(3), Recipe(steps=10, batch_size=8)
    orders = orders_of(3, 10)
    together = train_fixed_steps(nets, x, y, orders=orders, recipe=recipe)[10]
    alone = train_fixed_steps(nets[2:], x, y, orders=orders[2:], recipe=recipe)[10]
    torch.testing.assert_close(logits_of(together[2], x), logits_of(alone[0], x), rtol=1e-10, atol=1e-12)


def test_snapshots_hold_the_start_and_resume_without_momentum():
    (x, y), nets, orders = problem(), nets_of(2), orders_of(2, 10)
    recipe = Recipe(steps=10, batch_size=8, momentum=0.0)
    path = train_fixed_steps(nets, x, y, orders=orders, recipe=recipe, at_steps=(0, 4))
    assert list(path) == [0, 4, 10]
    assert all(torch.equal(a, b) for a, b in zip(path[0][1].parameters(), nets[1].parameters(), strict=True))
    resumed = train_fixed_steps(path[4], x, y, orders=orders[:, 4:], recipe=recipe, start=4)[10]
    torch.testing.assert_close(logits_of(resumed[0], x), logits_of(path[10][0], x), rtol=1e-12, atol=0)
    stopped = train_fixed_steps(nets, x, y, orders=orders[:, :4], recipe=recipe, stop=4)
    assert list(stopped) == [4]
    torch.testing.assert_close(logits_of(stopped[4][0], x), logits_of(path[4][0], x), rtol=1e-12, atol=0)


def test_a_run_may_start_at_its_end():
    x, y = problem()
    nets = nets_of(1)
    nothing = torch.stack([batch_order(torch.arange(48), steps=0, batch_size=8, generator=draw())])
    path = train_fixed_steps(nets, x, y, orders=nothing, recipe=Recipe(steps=4, batch_size=8), start=4)
    assert torch.equal(logits_of(path[4][0], x), logits_of(nets[0], x))


def test_given_models_and_the_global_generator_stay_as_they_are():
    (x, y), nets = problem(), nets_of(2)
    before = [p.clone() for net in nets for p in net.parameters()]
    state = torch.get_rng_state()
    train_fixed_steps(nets, x, y, orders=orders_of(2, 3), recipe=Recipe(steps=3, batch_size=8))
    assert all(torch.equal(p, b) for p, b in zip((p for n in nets for p in n.parameters()), before, strict=True))
    assert torch.equal(torch.get_rng_state(), state)


def test_labels_of_their_own():
    (x, y), nets, recipe = problem(), nets_of(2), Recipe(steps=6, batch_size=8)
    orders = orders_of(2, 6)
    both = train_fixed_steps(nets, x, torch.stack([y, 2 - y]), orders=orders, recipe=recipe)[6]
    second = train_fixed_steps(nets[1:], x, 2 - y, orders=orders[1:], recipe=recipe)[6]
    torch.testing.assert_close(logits_of(both[1], x), logits_of(second[0], x), rtol=1e-10, atol=1e-12)


def test_observer_sees_predictions_before_each_update_and_augment_changes_inputs():
    (x, y), nets, seen = problem(), nets_of(2), []
    orders = orders_of(2, 3)
    recipe = Recipe(steps=3, batch_size=8)
    train_fixed_steps(nets, x, y, orders=orders, recipe=recipe, observe=lambda *heard: seen.append(heard))
    assert [s for s, _, _ in seen] == [0, 1, 2]
    torch.testing.assert_close(seen[0][2][1], nets[1](x[orders[1, 0]]).detach())
    heard = []
    train_fixed_steps(
        nets, x, y, orders=orders, recipe=recipe, augment=torch.zeros_like, observe=lambda *h: heard.append(h)
    )
    torch.testing.assert_close(heard[0][2][0, 0], heard[0][2][0, 1])


def test_networks_with_running_statistics():
    x = torch.randn(16, 3, 8, 8, generator=draw())
    nets = [resnet18(3, 2, width=2, generator=draw(k)) for k in range(2)]
    recipe = Recipe(steps=2, batch_size=8)
    orders = orders_of(2, 2, n=16)
    trained = train_fixed_steps(nets, x, torch.arange(16) % 2, orders=orders, recipe=recipe)[2]
    assert float(trained[0][0][1].running_mean.abs().sum()) > 0
    assert float(nets[0][0][1].running_mean.abs().sum()) == 0
    assert trained[0].training
    logits_of(trained[0], x)
    assert trained[0].training, "the mode is left as it was"


def test_convolutions_train():
    x = torch.randn(16, 1, 8, 8, generator=draw())
    y = (x.mean((1, 2, 3)) > 0).long()
    recipe, order = Recipe(steps=30, batch_size=16), orders_of(1, 30, n=16, batch=16)
    net = cnn(1, 2, widths=(4, 4), generator=draw())
    trained = train_fixed_steps([net], x, y, orders=order, recipe=recipe)[30][0]
    losses = [float(nn.functional.cross_entropy(logits_of(n, x), y)) for n in (net, trained)]
    assert losses[1] < losses[0]


def test_batches_cover_each_round_and_drop_the_last_part():
    order = batch_order(torch.arange(100, 110), steps=5, batch_size=4, generator=draw())
    assert order.shape == (5, 4)
    for first in (0, 2):
        assert len(set(order[first : first + 2].flatten().tolist())) == 8
    assert set(order.flatten().tolist()) <= set(range(100, 110))
    with pytest.raises(BadInput, match="batch_size<=10"):
        batch_order(torch.arange(10), steps=5, batch_size=11, generator=draw())


def test_rates():
    cosine = Recipe(steps=100, learning_rate=0.2)
    assert cosine.rate(0) == 0.2
    assert cosine.rate(50) == pytest.approx(0.1)
    steps = Recipe(steps=200, learning_rate=0.1, schedule="step")
    assert [steps.rate(s) for s in (59, 60, 120, 160)] == pytest.approx([0.1, 0.02, 0.004, 0.0008])
    assert Recipe(steps=10, schedule="constant").rate(9) == 0.05


def test_refuses_what_does_not_fit():
    (x, y), recipe = problem(), Recipe(steps=4, batch_size=8)
    with pytest.raises(BadInput, match="models is empty"):
        train_fixed_steps([], x, y, orders=orders_of(1, 4), recipe=recipe)
    with pytest.raises(BadInput, match="orders has shape"):
        train_fixed_steps(nets_of(2), x, y, orders=orders_of(1, 4), recipe=recipe)
    with pytest.raises(BadInput, match="stop=5"):
        train_fixed_steps(nets_of(1), x, y, orders=orders_of(1, 4), recipe=recipe, stop=5)
    with pytest.raises(BadInput, match="at_steps=7"):
        train_fixed_steps(nets_of(1), x, y, orders=orders_of(1, 4), recipe=recipe, at_steps=(7,))


def test_divergence_names_the_step():
    x, y = problem()
    with pytest.raises(Diverged, match="at step"):
        train_fixed_steps(
            nets_of(1),
            x * 1e6,
            y,
            orders=orders_of(1, 40),
            recipe=Recipe(40, 8, learning_rate=1e12, schedule="constant"),
        )
    assert math.isfinite(float(x.sum()))
