import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from torch import nn

from overparam.errors import BadInput
from overparam.methods.measures.readout import _scores, leave_one_out, penultimate


def blobs(n=60, wrong=5, seed=0):
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % 3
    x = 2 * np.eye(3)[truth] @ rng.normal(size=(3, 8)) + 0.3 * rng.normal(size=(n, 8))
    y = truth.copy()
    y[:wrong] = (y[:wrong] + 1) % 3
    return x, y, truth


@pytest.mark.parametrize("ridge", [1e-4, 1e-1])
def test_the_closed_form_agrees_with_leaving_out_one_by_one(ridge):
    x, y, _ = blobs(20)
    z = np.column_stack([(x - x.mean(0)) / x.std(0), np.ones(20)])
    target = np.eye(3)[y]
    slow = []
    for i in range(20):
        keep = np.arange(20) != i
        fitted = Ridge(alpha=ridge * 20, fit_intercept=False).fit(z[keep], target[keep])
        slow.append(fitted.predict(z[[i]])[0])
    np.testing.assert_allclose(_scores(z, target, [ridge]), slow, atol=1e-8)


def test_wrong_labels_get_the_least_probability():
    x, y, _ = blobs()
    own = leave_one_out(x, y, 3)[np.arange(60), y]
    assert set(np.argsort(own)[:5]) == set(range(5))


def test_the_label_of_an_example_does_not_speak_for_itself():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 39)), rng.integers(0, 2, 40)  # wide enough to fit any labels
    p = leave_one_out(x, y, 2)
    assert (p.argmax(1) == y).mean() < 0.75
    assert -np.log(p[np.arange(40), y]).mean() > 0.6


def test_rows_are_probabilities_and_scales_do_not_matter():
    x, y, _ = blobs()
    p = leave_one_out(x, y, 4)  # a class without examples
    np.testing.assert_allclose(p.sum(1), 1)
    np.testing.assert_allclose(leave_one_out(np.column_stack([100 * x + 7, np.ones(60)]), y, 4), p, atol=1e-8)


def test_bad_input():
    x, y, _ = blobs()
    for bad, words in (
        (lambda: leave_one_out(x, y, 1), "at least 2 classes"),
        (lambda: leave_one_out(x[:2], y[:2], 3), "n >= 3"),
        (lambda: leave_one_out(x, y[:5], 3), "labels"),
        (lambda: leave_one_out(x, y, 2), "pass 0 to 1"),
        (lambda: leave_one_out(x * np.nan, y, 3), "NaN"),
    ):
        with pytest.raises(BadInput, match=words):
            bad()


def test_features_are_the_inputs_of_the_layer_that_is_used_last():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.body = nn.Linear(4, 2), nn.Linear(3, 4)

        def forward(self, x):
            return self.head(torch.relu(self.body(x)))

    torch.manual_seed(0)
    model, x = Odd(), torch.randn(5, 3)
    features, outputs = penultimate(model, (x, torch.zeros(5)), chunk=2)
    torch.testing.assert_close(features, torch.relu(model.body(x)).detach())
    torch.testing.assert_close(outputs, model(x).detach())
    assert not any(m._forward_hooks for m in model.modules())
    plain, same = penultimate(nn.ReLU(), (x, torch.zeros(5)))
    assert torch.equal(plain, same)
