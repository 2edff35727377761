import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.utils.data import DataLoader, TensorDataset

from overparam.errors import BadInput
from overparam.methods.measures import hessian_operator
from overparam.methods.measures.hessian_operator import HessianOperator
from overparam.models.mlp import mlp

CE = nn.CrossEntropyLoss()
KINDS = ("hessian", "ggn", "residual", "fisher")


def draw(seed=0):
    return torch.Generator().manual_seed(seed)


def problem(n=11, seed=0):
    model = mlp(4, [5], 3, generator=draw(seed)).double()
    return model, torch.randn(n, 4, generator=draw(seed + 1)).double(), torch.arange(n) % 3


def flat(parts):
    return torch.cat([p.flatten() for p in parts])


def oracle(model, loss_fn, x, y):
    """H, G, R and the Fisher matrix from their definitions, by full Jacobians."""
    names, values = zip(*[(n, p.detach()) for n, p in model.named_parameters() if p.requires_grad], strict=True)
    shapes = [v.shape for v in values]
    w = flat(values)

    def outputs(w):
        parts = w.split([s.numel() for s in shapes])
        return functional_call(model, {n: p.view(s) for n, p, s in zip(names, parts, shapes, strict=True)}, (x,))

    h = torch.autograd.functional.hessian(lambda w: loss_fn(outputs(w), y), w)
    z = outputs(w)
    jacobian = torch.autograd.functional.jacobian(outputs, w)
    g, fisher = torch.zeros_like(h), torch.zeros_like(h)
    for i in range(len(x)):
        each = lambda z, i=i: loss_fn(z[None], y[i : i + 1])  # noqa: E731
        a = torch.autograd.functional.hessian(each, z[i])
        g += jacobian[i].T @ a @ jacobian[i] / len(x)
        slope = torch.autograd.functional.jacobian(each, z[i]) @ jacobian[i]
        fisher += torch.outer(slope, slope) / len(x)
    return {"hessian": h, "ggn": g, "residual": h - g, "fisher": fisher}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", ["cross-entropy", "squares"])
def test_matrices_equal_their_definitions(kind, loss):
    model, x, y = problem()
    loss_fn, y = (CE, y) if loss == "cross-entropy" else (nn.MSELoss(), torch.randn(11, 3, generator=draw(5)).double())
    found = HessianOperator(model, loss_fn, (x, y), kind=kind).to_dense()
    torch.testing.assert_close(found, oracle(model, loss_fn, x, y)[kind], rtol=1e-10, atol=1e-12)


def test_linear_regression_has_no_residual():
    x, model = torch.randn(20, 3, generator=draw()).double(), nn.Linear(3, 2).double()
    y = torch.randn(20, 2, generator=draw(1)).double()
    wide = torch.cat([x, torch.ones(20, 1)], 1)
    dense = HessianOperator(model, nn.MSELoss(), (x, y)).to_dense()
    expected = 2 * wide.T @ wide / 20 / 2  # nn.MSELoss divides by the number of outputs, too
    torch.testing.assert_close(torch.linalg.eigvalsh(dense)[::2], torch.linalg.eigvalsh(expected))
    assert HessianOperator(model, nn.MSELoss(), (x, y), kind="residual").to_dense().abs().max() == 0


def test_a_loss_linear_in_the_outputs_has_no_gauss_newton_part():
    model, x, y = problem()
    assert HessianOperator(model, lambda z, y: z.sum(), (x, y), kind="ggn").to_dense().abs().max() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_batches_of_any_size_give_the_mean_over_all_examples(kind):
    model, x, y = problem()
    whole = HessianOperator(model, CE, (x, y), kind=kind)
    v = torch.randn(whole.shape[0], generator=draw(3)).double()
    uneven = [(x[:1], y[:1]), (x[1:8], y[1:8]), (x[8:], y[8:])]
    loader = DataLoader(TensorDataset(x, y), batch_size=4, shuffle=True)
    for data, chunk in (((x, y), 2), (uneven, None), (loader, None)):
        other = HessianOperator(model, CE, data, kind=kind, chunk=chunk)
        assert other.retained == (chunk == 2)
        torch.testing.assert_close(other.matvec(v), whole.matvec(v), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_the_reduction_of_the_loss_does_not_matter(reduction):
    model, x, y = problem()
    v = torch.ones(43).double()
    found = HessianOperator(model, nn.CrossEntropyLoss(reduction=reduction), (x, y)).matvec(v)
    torch.testing.assert_close(found, HessianOperator(model, CE, (x, y)).matvec(v))


def test_graph_is_not_kept_where_it_does_not_fit(monkeypatch):
    model, x, y = problem()
    kept = HessianOperator(model, CE, (x, y))
    monkeypatch.setattr(hessian_operator, "RETAINED_BYTES", 100)
    other = HessianOperator(model, CE, (x, y), chunk=3)
    assert (kept.retained, other.retained) == (True, False)
    torch.testing.assert_close(other.to_dense(), kept.to_dense())


def test_activations_are_counted_a_example():
    model, x, y = problem()
    operator = HessianOperator(model, CE, (x, y))
    assert 8 * (4 + 5 + 3) <= operator._bytes <= 8 * 30 * (4 + 5 + 3)


def test_matmat_equals_matvecs():
    model, x, y = problem()
    V = torch.randn(43, 70, generator=draw(2)).double()
    for kind in KINDS:
        operator = HessianOperator(model, CE, (x, y), kind=kind)
        torch.testing.assert_close(operator.matmat(V), torch.stack([operator.matvec(v) for v in V.T], 1))
    assert operator.matmat(V[:, :0]).shape == (43, 0)


def test_a_layer_without_a_batching_rule_is_gone_through_column_by_column():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 2).double()

        def forward(self, x):
            return Opaque.apply(self.layer(x))

    class Opaque(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return Slope.apply(grad, x)

    class Slope(torch.autograd.Function):
        @staticmethod
        def forward(ctx, grad, x):
            ctx.save_for_backward(grad, x)
            return 2 * grad * x

        @staticmethod
        def backward(ctx, given):
            grad, x = ctx.saved_tensors
            given = torch.from_numpy(given.numpy())  # no batching rule goes through NumPy
            return 2 * given * x, 2 * given * grad

    model, x, y = Net(), torch.randn(6, 2, generator=draw()).double(), torch.randn(6, 2, generator=draw(1)).double()
    operator = HessianOperator(model, nn.MSELoss(), (x, y))
    plain = nn.Sequential(model.layer)
    expected = HessianOperator(plain, lambda z, y: (z**2 - y).square().mean(), (x, y)).to_dense()
    torch.testing.assert_close(operator.to_dense(), expected)
    assert not operator._vmaps


def test_scaled_loss_scales_the_spectrum():
    model, x, y = problem()
    one = torch.linalg.eigvalsh(HessianOperator(model, CE, (x, y)).to_dense())
    three = torch.linalg.eigvalsh(HessianOperator(model, lambda z, y: 3 * CE(z, y), (x, y)).to_dense())
    torch.testing.assert_close(three, 3 * one)


def test_permuted_hidden_units_have_the_same_spectrum():
    model, x, y = problem()
    before = torch.linalg.eigvalsh(HessianOperator(model, CE, (x, y)).to_dense())
    order = torch.randperm(5, generator=draw(4))
    with torch.no_grad():
        model[1].weight.copy_(model[1].weight[order])
        model[1].bias.copy_(model[1].bias[order])
        model[3].weight.copy_(model[3].weight[:, order])
    torch.testing.assert_close(torch.linalg.eigvalsh(HessianOperator(model, CE, (x, y)).to_dense()), before)


def test_frozen_weights_are_left_out():
    model, x, y = problem()
    whole = HessianOperator(model, CE, (x, y)).to_dense()
    model[1].requires_grad_(False)
    frozen = HessianOperator(model, CE, (x, y))
    assert frozen.shape == (18, 18)
    torch.testing.assert_close(frozen.to_dense(), whole[25:, 25:])
    model[1].requires_grad_(True)
    chosen = HessianOperator(model, CE, (x, y), params=model[3].parameters())
    torch.testing.assert_close(chosen.to_dense(), whole[25:, 25:])


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(torch.tanh(self.first(x)))


def test_tied_weights_count_once():
    model, x, y = Tied().double(), torch.randn(8, 3, generator=draw()).double(), torch.arange(8) % 3
    operator = HessianOperator(model, CE, (x, y))
    assert operator.shape == (9, 9)

    def loss(w):
        return CE(torch.tanh(x @ w.view(3, 3).T) @ w.view(3, 3).T, y)

    expected = torch.autograd.functional.hessian(loss, model.first.weight.detach().flatten())
    torch.testing.assert_close(operator.to_dense(), expected)


def test_batch_normalisation_in_evaluation_mode():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)).double()
    x, y = torch.randn(6, 1, 4, 4, generator=draw()).double(), torch.arange(6) % 3
    with torch.no_grad():
        model(x)  # running statistics
    model.eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    found = HessianOperator(model, CE, (x, y))
    expected = oracle(model, CE, x, y)
    torch.testing.assert_close(found.to_dense(), expected["hessian"])
    torch.testing.assert_close(HessianOperator(model, CE, (x, y), kind="ggn").to_dense(), expected["ggn"])
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(7, 8)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.out = nn.Linear(8, 7)

    def forward(self, x):
        return self.out(self.block(self.table(x))).mT


def test_token_ids_and_attention():
    """The fused attention kernels have no second derivative; the plain one is taken."""
    torch.manual_seed(0)
    model = Tokens().eval()
    x = torch.randint(0, 7, (5, 4), generator=draw())
    operator = HessianOperator(model, CE, (x, x.roll(1, 1)))
    v = torch.randn(operator.shape[0], generator=draw(1))
    model.double()
    torch.testing.assert_close(
        operator.matvec(v).double(),
        HessianOperator(model, CE, (x, x.roll(1, 1))).matvec(v.double()),
        rtol=1e-3,
        atol=1e-5,
    )
    for kind in ("hessian", "ggn"):
        operator = HessianOperator(model, CE, (x, x.roll(1, 1)), kind=kind)
        u = torch.randn(operator.shape[0], generator=draw(2)).double()
        torch.testing.assert_close(u @ operator.matvec(v.double()), v.double() @ operator.matvec(u))
        V = torch.stack([u, v.double()], 1)
        torch.testing.assert_close(operator.matmat(V)[:, 0], operator.matvec(u))


def test_recurrent_networks():
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.out = nn.LSTM(2, 3, batch_first=True), nn.Linear(3, 2)

        def forward(self, x):
            return self.out(self.cell(x)[0][:, -1])

    model = Last().double().eval()
    operator = HessianOperator(model, CE, (torch.randn(5, 4, 2, generator=draw()).double(), torch.arange(5) % 2))
    u, v = torch.randn(2, operator.shape[0], generator=draw(1)).double()
    assert float(u @ operator.matvec(v)) == pytest.approx(float(v @ operator.matvec(u)), rel=1e-9)


def test_the_operator_stays_as_it_was_made_and_leaves_the_model_alone():
    model, x, y = problem()
    operator, v = HessianOperator(model, CE, (x, y)), torch.ones(43).double()
    loader = HessianOperator(model, CE, [(x, y)])
    before = operator.matvec(v)
    state = torch.random.get_rng_state()
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(2)
        assert torch.equal(operator.matvec(v), before)
    torch.testing.assert_close(loader.matvec(v), before)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(v, torch.ones(43))


def test_type_of_the_vector_is_kept():
    model, x, y = problem()
    single = HessianOperator(model.float(), CE, (x.float(), y))
    v = torch.randn(43, generator=draw(2)).double()
    exact = HessianOperator(model.double(), CE, (x.float().double(), y)).matvec(v)
    assert single.matvec(v).dtype == torch.float64
    assert single.matvec(v.float()).dtype == torch.float32
    torch.testing.assert_close(single.matvec(v), exact, rtol=1e-4, atol=1e-6)


def test_scipy_finds_the_same_eigenvalues():
    from scipy.sparse.linalg import eigsh

    model, x, y = problem()
    operator = HessianOperator(model, CE, (x, y))
    wrapped = operator.to_scipy()
    found = eigsh(wrapped, k=3, which="LA", v0=np.ones(43), return_eigenvectors=False)
    expected = torch.linalg.eigvalsh(operator.to_dense())[-3:]
    np.testing.assert_allclose(np.sort(found), expected.numpy(), rtol=1e-9)
    assert (wrapped @ np.eye(43)[:, :4]).shape == (43, 4)


def test_a_dataset_that_raises_names_its_batch():
    model, x, y = problem()

    class Broken(torch.utils.data.Dataset):
        def __len__(self):
            return 6

        def __getitem__(self, i):
            if i == 4:
                raise OSError("no such file")
            return x[i], y[i]

    operator = HessianOperator(model, CE, DataLoader(Broken(), batch_size=2))
    with pytest.raises(BadInput, match="OSError at batch 2"):
        operator.matvec(torch.ones(43))


def test_matrix_of_changing_data_is_refused():
    model, x, y = mlp(4, [12], 3, generator=draw()).double(), *problem(40)[1:]  # two groups of columns
    loader = DataLoader(TensorDataset(x, y), batch_size=7, shuffle=True, drop_last=True)
    with pytest.raises(BadInput, match="not symmetric"):
        HessianOperator(model, CE, loader).to_dense()


def test_refuses():
    model, x, y = problem()
    wrong = {
        "no examples": ((x[:0], y[:0]), {}),
        "no examples; pass": ([], {}),
        "only once": (iter([(x, y)]), {}),
        "11 inputs and 3 labels": ((x, y[:3]), {}),
        "kind='x' is unknown": ((x, y), {"kind": "x"}),
        "chunk=0": ((x, y), {"chunk": 0}),
        "0 of this model": ((x, y), {"params": nn.Linear(2, 2).parameters()}),
        "0 weights, 0": ((x, y), {"params": []}),
        "params is one tensor": ((x, y), {"params": model[1].weight}),
        "loss is nan": ((x * torch.nan, y), {}),
    }
    for words, (data, options) in wrong.items():
        with pytest.raises(BadInput, match=words):
            HessianOperator(model, CE, data, **options)
    with pytest.raises(BadInput, match="it must give one"):
        HessianOperator(model, lambda z, y: z[0], (x, y))
    with pytest.raises(BadInput, match="without weight"):
        HessianOperator(model, nn.CrossEntropyLoss(weight=torch.ones(3).double()), (x, y))
    operator = HessianOperator(model, CE, (x, y))
    with pytest.raises(BadInput, match=r"pass \(43,\)"):
        operator.matvec(torch.ones(42))
    with pytest.raises(BadInput, match=r"pass \(43, m\)"):
        operator.matmat(torch.ones(3, 43))


def test_refuses_models_that_have_no_curvature():
    model, x, y = problem()
    with pytest.raises(BadInput, match=r"call model\.eval"):
        HessianOperator(nn.Sequential(model, nn.Dropout()), CE, (x, y))
    with pytest.raises(BadInput, match="gives a tuple"):

        class Pair(nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = model

            def forward(self, x):
                return self.inner(x), x

        HessianOperator(Pair(), CE, (x, y))
    with pytest.raises(BadInput, match="do not depend"):

        class Detached(Pair):
            def forward(self, x):
                return self.inner(x).detach()

        HessianOperator(Detached(), CE, (x, y))
    with torch.no_grad():
        model[1].weight[0, 0] = torch.nan
    with pytest.raises(BadInput, match=r"1\.weight holds NaN"):
        HessianOperator(model, CE, (x, y))
    with pytest.raises(BadInput, match="no trainable weights"):
        HessianOperator(problem()[0].requires_grad_(False), CE, (x, y))


def test_large_matrices_need_force(monkeypatch):
    model, x, y = problem()
    operator = HessianOperator(model, CE, (x, y))
    monkeypatch.setattr(hessian_operator, "DENSE", 42)
    with pytest.raises(BadInput, match="force=True"):
        operator.to_dense()
    assert operator.to_dense(force=True).shape == (43, 43)
