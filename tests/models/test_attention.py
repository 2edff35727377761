import numpy as np
import pytest
import torch

from overparam.errors import BadInput
from overparam.models.attention import OneLayerAttention


def made(**more):
    return OneLayerAttention(4, generator=torch.Generator().manual_seed(0), dtype=torch.float64, **more)


def data():
    draw = torch.Generator().manual_seed(1)
    return torch.randn(3, 5, 4, generator=draw, dtype=torch.float64), torch.randn(
        3, 4, generator=draw, dtype=torch.float64
    )


@pytest.mark.parametrize("factored", [False, True])
def test_scores_are_x_w_z_in_this_order(factored):
    layer, (x, z) = made(factored=factored), data()
    out = layer(x, z)
    scores = np.einsum("btd,de,be->bt", x, layer.W.detach(), z)
    share = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    np.testing.assert_allclose(layer.last_softmax, share, atol=1e-12)
    np.testing.assert_allclose(
        out.detach(), np.einsum("bt,btd->bd", share, x) @ layer.vector.detach().numpy(), atol=1e-12
    )
    transposed = np.einsum("btd,ed,be->bt", x, layer.W.detach(), z)
    assert np.abs(transposed - scores).max() > 0.1


def test_w_of_two_linear_layers_is_key_transposed_times_query():
    layer, (x, z) = made(factored=True, rank=2), data()
    k_proj, q_proj = (torch.nn.Linear(4, 2, bias=False, dtype=torch.float64) for _ in range(2))
    with torch.no_grad():
        layer.key.copy_(k_proj.weight.T)
        layer.query.copy_(q_proj.weight.T)
    torch.testing.assert_close(layer.W, k_proj.weight.T @ q_proj.weight)
    layer(x, z)
    scores = (k_proj(x) @ q_proj(z)[..., None]).squeeze(-1)
    torch.testing.assert_close(layer.last_softmax, scores.softmax(-1).detach())


def test_heads_are_trainable_fixed_or_any_module():
    x, z = data()
    free, fixed = made(), made(head=torch.ones(4, dtype=torch.float64))
    assert {n for n, _ in free.named_parameters()} == {"weight", "vector"}
    assert {n for n, _ in fixed.named_parameters()} == {"weight"}
    column = torch.nn.Linear(4, 1, dtype=torch.float64)
    flat = torch.nn.Sequential(column, torch.nn.Flatten(0))
    torch.testing.assert_close(made(head=column)(x, z), made(head=flat)(x, z))
    assert made(head=column)(x, z).shape == (3,)


def test_a_token_of_the_sequence_can_be_the_query():
    x, _ = data()
    own, cross = made(query=2), made()
    torch.testing.assert_close(own(x), cross(x, x[:, 2]))


def test_the_start_is_seeded_and_bounded():
    torch.testing.assert_close(made().W, made().W, rtol=0, atol=0)
    assert made().W.abs().max() <= 0.5
    assert "last_softmax" not in made().state_dict()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"d": 0}, "d=0"),
        ({"d": 4, "rank": 2}, "only with factors"),
        ({"d": 4, "rank": 0, "factored": True}, "rank=0"),
        ({"d": 4, "head": torch.ones(3)}, "head has shape"),
        ({"d": 4, "query": "self"}, "query='self'"),
    ],
)
def test_arguments_are_checked(given, says):
    with pytest.raises(BadInput, match=says):
        OneLayerAttention(given.pop("d"), **given)


def test_queries_are_given_exactly_where_they_are_needed():
    x, z = data()
    with pytest.raises(BadInput, match="z is missing"):
        made()(x)
    with pytest.raises(BadInput, match="z is given"):
        made(query=0)(x, z)
    with pytest.raises(BadInput, match="x has shape"):
        made()(x, z[:2])
