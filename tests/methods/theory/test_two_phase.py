import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, LogisticRegression

from overparam.errors import BadInput
from overparam.methods.theory.contrastive import ContrastiveMLE
from overparam.methods.theory.factor_model import FactorMLE
from overparam.methods.theory.spherical_mixture import SphericalGMM
from overparam.methods.theory.two_phase import MajorityHead, TorchEncoder, TwoPhase

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((40, 5)), RNG.standard_normal(40)
MANY = RNG.standard_normal((200, 5)) * [3, 2, 1, 1, 1]


def test_the_head_sees_the_features_of_the_fitted_representation():
    found = TwoPhase(FactorMLE(2)).fit(X, Y, X_unlabelled=MANY)
    z = FactorMLE(2).fit(MANY).transform(X)
    np.testing.assert_allclose(found.predict(X), z @ np.linalg.lstsq(z, Y, rcond=None)[0])
    assert found.score(X, Y) == pytest.approx(LinearRegression(fit_intercept=False).fit(z, Y).score(z, Y))


def test_the_labelled_inputs_do_not_enter_phase_one():
    found = TwoPhase(PCA(2)).fit(X, Y, X_unlabelled=MANY)
    np.testing.assert_array_equal(found.representation_.components_, PCA(2).fit(MANY).components_)


def test_a_fitted_representation_stays_as_it_is_and_a_given_one_is_not_changed():
    fitted, fresh = PCA(2).fit(MANY), PCA(2)
    assert TwoPhase(fitted).fit(X, Y).representation_ is fitted
    TwoPhase(fresh).fit(X, Y, X_unlabelled=MANY)
    assert not hasattr(fresh, "components_")


def test_mixture_with_majority_labels():
    centres = np.array([[-5.0, 0], [5, 0], [0, 6]])
    z = RNG.integers(3, size=300)
    x = centres[z] + RNG.standard_normal((300, 2))
    labels = np.array(["a", "b", "a"])[z]
    found = TwoPhase(SphericalGMM(3), "majority").fit(x[:20], labels[:20], X_unlabelled=x)
    assert found.score(x, labels) > 0.98


def test_a_component_without_labels_predicts_the_majority_of_all():
    head = MajorityHead().fit([[1, 0, 0], [1, 0, 0], [0, 1, 0]], [4, 4, 9])
    assert head.predict(np.eye(3)).tolist() == [4, 9, 4]


def test_equal_labels_warn():
    with pytest.warns(UserWarning, match="all labels are equal"):
        MajorityHead().fit([[1, 0], [0, 1]], [3, 3])


def test_pairs_go_to_the_representation():
    x2, t = RNG.standard_normal((200, 5)), RNG.integers(2, size=200)
    found = TwoPhase(ContrastiveMLE(2, steps=5)).fit(X, Y, X_unlabelled=MANY, x2=x2, t=t)
    np.testing.assert_array_equal(found.representation_.theta_, ContrastiveMLE(2, steps=5).fit(MANY, x2, t).theta_)


def test_a_torch_module_is_pretrained_once_and_used_in_evaluation_mode():
    module = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.Dropout(0.5))
    seen = []

    def pretrain(network, x):
        seen.append(tuple(x.shape))
        with torch.no_grad():
            network[0].weight.fill_(1.0)

    found = TwoPhase(TorchEncoder(module, pretrain), LogisticRegression()).fit(X, Y > 0, X_unlabelled=MANY)
    assert seen == [(200, 5)]
    assert module.training
    np.testing.assert_array_equal(found.predict(X), found.predict(X))  # no dropout
    assert TorchEncoder(torch.nn.Flatten()).transform(np.ones((2, 3, 4))).shape == (2, 12)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: TwoPhase(PCA(2)).fit(X, Y), "the representation is not fitted"),
        (lambda: TwoPhase(PCA(2), "best").fit(X, Y, X_unlabelled=MANY), "head='best' is unknown"),
        (lambda: TwoPhase(PCA(2)).fit(X[:0], Y[:0], X_unlabelled=MANY), "at least one"),
        (lambda: TwoPhase(PCA(2)).fit(X, Y[:3], X_unlabelled=MANY), "one response an input"),
        (lambda: MajorityHead().fit(np.ones(3), [1, 2, 3]), r"\(n, K\) and \(n,\)"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(BadInput, match=said):
        call()
