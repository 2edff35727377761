import math

import pytest
import torch
from torch import nn

from overparam.errors import BadInput
from overparam.methods.measures import generalization
from overparam.methods.measures.generalization import compute_measures, list_measures, measure
from overparam.methods.measures.grand import grand
from overparam.methods.measures.margins import margins
from overparam.methods.measures.pac_bayes import pacbayes_sigma
from overparam.methods.measures.worst_case import worst_case_scale
from overparam.models.cnn import cnn
from overparam.models.mlp import mlp

INVARIANT = ("spec_prod", "spec_prod_over_margin", "fro_prod_over_margin", "path_norm_over_margin", "fro_over_spec",
             "spec_orig_main", "spec_sum", "inverse_margin", "sharpness_mag_flatness")  # fmt: skip
VARYING = ("l2", "param_norm", "pacbayes_flatness", "pacbayes_orig")


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def trained():
    """A network that fits its labels by construction, some way from its start."""
    model = mlp(6, [16, 12], 3, generator=draw())
    init = {name: w.clone() for name, w in model.state_dict().items()}
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=draw(1)))
    x = torch.randn(120, 6, generator=draw(2))
    keep = model(x).topk(2, dim=1).values
    x = x[(keep[:, 0] - keep[:, 1]) > 0.05]
    return model, init, (x, model(x).argmax(1))


def oracle(model, init, x, y):
    """The measures one by one in double precision, by dense decompositions."""
    weights = [layer.weight.detach().double() for layer in model if isinstance(layer, nn.Linear)]
    starts = [init[name].double() for name in init if name.endswith("weight")]
    m, d, gamma = len(y), len(weights), margins(model, (x, y)).gamma
    spec = [float(torch.linalg.svdvals(w)[0]) ** 2 for w in weights]
    fro = [float(w.norm()) ** 2 for w in weights]
    moved = [w - s for w, s in zip(weights, starts, strict=True)]
    far = [float(w.norm()) ** 2 for w in moved]
    w, v = (torch.cat([t.flatten() for t in ts]) for ts in (weights, moved))
    sigma = float(pacbayes_sigma(model, (x, y)))
    mag = float(pacbayes_sigma(model, (x, y), magnitude=True))
    ratio = sum(a / b for a, b in zip(fro, spec, strict=True))

    def mag_bound(r):
        above = 1e-6 + (mag**2 + 1) * float(r @ r) / len(r)
        return 0.25 * sum(math.log(above / (1e-6 + mag**2 * float(t) ** 2)) for t in r) + math.log(m / mag) + 10

    values = {
        "parameters": len(w),
        "vc_dimension": d * math.log2(6 * d * 6) ** 3 * len(w),
        "l2": float(w.norm()),
        "l2_distance": float(v.norm()),
        "param_norm": sum(fro),
        "fro_distance": sum(far),
        "spec_distance": sum(float(torch.linalg.svdvals(t)[0]) ** 2 for t in moved),
        "inverse_margin": gamma**-2,
        "spec_prod": math.prod(spec),
        "spec_prod_over_margin": math.prod(spec) / gamma**2,
        "spec_sum": d * math.prod(spec) ** (1 / d),
        "spec_sum_over_margin": d * (math.prod(spec) / gamma**2) ** (1 / d),
        "fro_prod": math.prod(fro),
        "fro_prod_over_margin": math.prod(fro) / gamma**2,
        "fro_sum": d * math.prod(fro) ** (1 / d),
        "fro_sum_over_margin": d * (math.prod(fro) / gamma**2) ** (1 / d),
        "fro_over_spec": ratio,
        "spec_orig_main": math.prod(spec) / gamma**2 * ratio,
        "spec_init_main": math.prod(spec) / gamma**2 * sum(a / b for a, b in zip(far, spec, strict=True)),
        "pacbayes_init": float(v @ v) / (4 * sigma**2) + math.log(m / sigma) + 10,
        "pacbayes_orig": float(w @ w) / (4 * sigma**2) + math.log(m / sigma) + 10,
        "pacbayes_flatness": sigma**-2,
        "pacbayes_mag_init": mag_bound(v),
        "pacbayes_mag_orig": mag_bound(w),
        "pacbayes_mag_flatness": mag**-2,
        "sharpness_mag_flatness": float(worst_case_scale(model, (x, y))) ** -2,
    }
    return {name: math.sqrt(value / m) for name, value in values.items()}


def test_every_root_measure_against_its_formula():
    model, init, (x, y) = trained()
    found = compute_measures(model, init, (x, y))
    expected = oracle(model, init, x, y)
    plain = {"entropy", "cross_entropy", "gradient_noise_end", "path_norm", "path_norm_over_margin"}
    assert set(found) == set(expected) | plain
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-5), name


def test_gradient_noise_is_the_variance_of_the_gradient():
    model, _, (x, y) = trained()
    found = compute_measures(model, None, (x, y), names=["gradient_noise_end"])["gradient_noise_end"]
    loss = nn.functional.cross_entropy(model(x), y)
    mean = sum(float(g.square().sum()) for g in torch.autograd.grad(loss, list(model.parameters())))
    assert found == pytest.approx(float(grand(model, x, y).square().mean()) - mean, rel=1e-4)


def test_scaling_one_layer_against_the_next():
    model, _, data = trained()
    names = [*INVARIANT, *VARYING]
    before = compute_measures(model, None, data, names=names)
    with torch.no_grad():
        for p in (model[1].weight, model[1].bias, model[3].bias):
            p.mul_(5)
        model[5].weight.div_(5)
    after = compute_measures(model, None, data, names=names)
    for name in INVARIANT:
        assert after[name] == pytest.approx(before[name], rel=1e-4), name
    for name in VARYING:
        assert after[name] > 1.1 * before[name], name


def test_batches_in_another_form_give_the_same():
    model, init, (x, y) = trained()
    whole = compute_measures(model, init, (x, y))
    parts = compute_measures(model, init, list(zip(x.split(17), y.split(17), strict=True)))
    for name, value in whole.items():
        assert parts[name] == pytest.approx(value, rel=1e-4), name


def test_permuting_hidden_units_changes_no_norm():
    model, _, data = trained()
    order = torch.randperm(16, generator=draw(4))
    names = ["spec_prod", "fro_prod", "path_norm", "l2", "spec_orig_main"]
    before = compute_measures(model, None, data, names=names)
    with torch.no_grad():
        model[1].weight.copy_(model[1].weight[order]), model[1].bias.copy_(model[1].bias[order])
        model[3].weight.copy_(model[3].weight[:, order])
    after = compute_measures(model, None, data, names=names)
    assert after == pytest.approx(before, rel=1e-5)


def test_a_margin_that_is_not_positive_makes_measures_over_it_infinite():
    model, init, (x, y) = trained()
    found = compute_measures(model, init, (x, (y + 1) % 3))
    over = [name for name in found if "margin" in name or name in ("spec_orig_main", "spec_init_main")]
    assert len(over) == 8
    assert all(found[name] == math.inf for name in over)
    assert all(math.isfinite(found[name]) for name in ("spec_prod", "l2", "path_norm", "cross_entropy"))
    theirs = compute_measures(model, init, (x, (y + 1) % 3), names=["inverse_margin"], compat="nitarshan")
    assert math.isfinite(theirs["inverse_margin"])


def test_batch_normalisation_is_folded():
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).eval()
    model[1].running_var.fill_(9.0)
    x = torch.randn(40, 6, generator=draw())
    data = (x, model(x).argmax(1))
    plain = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    scale = (9.0 + model[1].eps) ** -0.5
    with torch.no_grad():
        plain[0].weight.copy_(model[0].weight * scale), plain[0].bias.copy_(model[0].bias * scale)
        plain[2].load_state_dict(model[3].state_dict())
    names = ["spec_prod", "path_norm", "l2", "pacbayes_flatness"]
    ours, expected = (compute_measures(net, None, data, names=names) for net in (model, plain))
    assert ours == pytest.approx(expected, rel=1e-5)
    start = {name: w.clone() for name, w in model.state_dict().items()}
    assert compute_measures(model, start, data, names=["l2_distance"])["l2_distance"] == 0.0


def test_convolutions_on_images():
    model = cnn(3, 4, widths=(4, 6), generator=draw())
    init = {name: w.clone() for name, w in model.state_dict().items()}
    x = torch.randn(30, 3, 8, 8, generator=draw(1))
    found = compute_measures(model, init, (x, model(x).argmax(1)))
    assert found["l2_distance"] == found["spec_distance"] == 0.0
    spec = math.prod(float(torch.linalg.svdvals(p.detach().flatten(1).double())[0]) for p in model.parameters() if p.dim() > 1)  # fmt: skip
    assert found["spec_prod"] == pytest.approx(spec / math.sqrt(30), rel=1e-5)


def test_tokens_leave_out_the_path_norm():
    model = nn.Sequential(nn.Embedding(9, 5), nn.Linear(5, 9))
    tokens = torch.randint(0, 9, (8, 4), generator=draw())
    found = compute_measures(model, None, (tokens, tokens))
    assert "path_norm" not in found
    assert {"spec_prod", "pacbayes_flatness", "gradient_noise_end"} <= set(found)
    with pytest.raises(BadInput, match="path_norm needs real inputs"):
        compute_measures(model, None, (tokens, tokens), names=["path_norm"])


def test_no_matrices_leave_the_rest():
    model = nn.Embedding(4, 4)
    tokens = torch.arange(4)
    assert set(compute_measures(model, None, (tokens, tokens))) == {"inverse_margin", "entropy", "cross_entropy"}


def test_history():
    model, _, data = trained()
    history = {"cross_entropy": [1.0, 0.2, 0.1, 0.05, 0.009], "gradient_noise": 3.5}
    found = compute_measures(model, None, data, history=history, names=[n for n in list_measures() if "ce_0" in n or "first" in n])  # fmt: skip
    assert found == {"gradient_noise_first_epoch": 3.5, "steps_to_ce_0.1": 2.0, "steps_from_ce_0.1_to_0.01": 2.0}
    unfinished = compute_measures(model, None, data, history={"cross_entropy": [1.0]}, names=["steps_to_ce_0.1"])
    assert unfinished["steps_to_ce_0.1"] == math.inf


def test_frozen_layers_count_in_products_but_not_in_vectors():
    model, _, data = trained()
    names = ["spec_prod", "parameters"]
    before = compute_measures(model, None, data, names=names)
    model[1].weight.requires_grad_(False)
    after = compute_measures(model, None, data, names=names)
    assert after["spec_prod"] == before["spec_prod"]
    m = len(data[1])
    assert after["parameters"] ** 2 * m == pytest.approx(before["parameters"] ** 2 * m - 6 * 16)


def test_a_layer_of_zeros():
    model, _, (x, _) = trained()
    with torch.no_grad():
        model[3].weight.zero_()
    found = compute_measures(model, None, (x, model(x).argmax(1)), names=["spec_prod", "fro_over_spec"])
    assert found == {"spec_prod": 0.0, "fro_over_spec": math.inf}


def test_other_choices_differ_where_they_say():
    model, init, data = trained()
    names = ["spec_prod", "pacbayes_flatness", "pacbayes_mag_orig"]
    ours = compute_measures(model, init, data, names=names)
    theirs = compute_measures(model, init, data, names=names, compat="nitarshan")
    assert ours["spec_prod"] == theirs["spec_prod"]
    assert ours["pacbayes_flatness"] > theirs["pacbayes_flatness"]
    assert ours["pacbayes_mag_orig"] != theirs["pacbayes_mag_orig"]


def test_everything_of_the_caller_stays():
    model, init, data = trained()
    before = {name: w.clone() for name, w in model.state_dict().items()}
    state = torch.random.get_rng_state()
    compute_measures(model, init, data)
    assert all(torch.equal(before[name], w) for name, w in model.state_dict().items())
    assert model.training
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(p.grad is None for p in model.parameters())


def test_measures_are_registered_once_with_known_needs(monkeypatch):
    monkeypatch.setattr(generalization, "_MEASURES", dict(generalization._MEASURES))

    @measure("twice_l2", needs=("weights",), form="plain")
    def twice(network):
        return 2 * float(network.vector.norm())

    model, _, data = trained()
    m = len(data[1])
    both = compute_measures(model, None, data, names=["twice_l2", "l2"])
    assert both["twice_l2"] == pytest.approx(2 * both["l2"] ** 2 * m)
    assert list_measures()["twice_l2"] == ("weights",)
    for name, needs in (("l2", ()), ("new", ("oracle",))):
        with pytest.raises(BadInput, match="take a new name"):
            measure(name, needs=needs)


class Stops:
    def __init__(self, data):
        self.data = data

    def __iter__(self):
        yield self.data
        raise OSError("disk is gone")


def broken(kind):
    model, init, (x, y) = trained()
    if kind == "nan":
        with torch.no_grad():
            model[1].weight[0, 0] = torch.nan
    if kind == "other state":
        init = {f"net.{name}": w for name, w in init.items()}
    if kind == "other shape":
        init["1.weight"] = init["1.weight"][:3]
    if kind == "nan state":
        init["1.weight"] = init["1.weight"] * torch.nan
    if kind == "frozen":
        model.requires_grad_(False)
    data = {"empty": (x[:0], y[:0]), "empty loader": [], "stops": Stops((x, y)), "labels": (x, y + 9)}.get(kind, (x, y))
    return model, init, data


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("nan", "NaN or infinity"),
        ("other state", "differ in"),
        ("other shape", "differ in '1.weight'"),
        ("nan state", "from before training"),
        ("frozen", "no trainable weights"),
        ("empty", "no examples"),
        ("empty loader", "no examples"),
        ("stops", "OSError at batch 1"),
        ("labels", "the model's classes"),
    ],
)
def test_bad_models_and_data(kind, message):
    with pytest.raises(BadInput, match=message):
        compute_measures(*broken(kind))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"names": ["sharpness"]}, "'sharpness' is unknown"),
        ({"names": ["l2_distance"]}, "l2_distance needs init, and init_state is None"),
        ({"names": ["steps_to_ce_0.1"]}, "history has no 'cross_entropy'"),
        ({"compat": "jiang"}, "compat='jiang'"),
    ],
)
def test_bad_arguments(arguments, message):
    model, _, data = trained()
    with pytest.raises(BadInput, match=message):
        compute_measures(model, None, data, **arguments)


def test_one_class():
    with pytest.raises(BadInput, match="1 class"):
        compute_measures(nn.Linear(3, 1), None, (torch.ones(4, 3), torch.zeros(4, dtype=torch.long)))
