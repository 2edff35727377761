import torch

from overparam.models.interpolated_activation import InterpolatedActivation


def test_ends_are_the_two_activations_and_many_values_go_at_once():
    x = torch.linspace(-2, 2, 9)
    for alpha, wanted in ((1.0, torch.relu(x)), (0.0, torch.tanh(x))):
        assert torch.equal(InterpolatedActivation(torch.relu, torch.tanh, alpha)(x), wanted)
    both = InterpolatedActivation(torch.relu, torch.tanh, torch.tensor([[0.0], [0.25]]))(x)
    assert torch.allclose(both[1], 0.25 * torch.relu(x) + 0.75 * torch.tanh(x))
    assert both.shape == (2, 9)


def test_the_mixture_is_saved_with_the_network():
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), InterpolatedActivation(torch.relu, torch.tanh, 0.25))
    assert network.state_dict()["1.alpha"] == 0.25
