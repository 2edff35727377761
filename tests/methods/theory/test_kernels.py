import numpy as np
import pytest
import torch
from scipy.integrate import dblquad

from overparam.errors import BadInput
from overparam.methods.theory.conv_kernels import conv_ntk
from overparam.methods.theory.kernels import arccos_nngp, fc_ntk, relu_moments


def points(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


@pytest.mark.parametrize("c", [-0.7, 0.2, 0.9])
def test_moments_are_gaussian_integrals(c):
    spread = np.sqrt(1 - c**2)
    density = lambda v, u: np.exp(-(u**2 + v**2) / 2) / (2 * np.pi)  # noqa: E731
    kappa1 = dblquad(lambda v, u: u * max(0.0, c * u + spread * v) * density(v, u), 0, 8, -8, 8, epsabs=1e-6)[0]
    kappa0 = dblquad(lambda v, u: (c * u + spread * v > 0) * density(v, u), 0, 8, -8, 8, epsabs=1e-4)[0]
    assert relu_moments(c)[0] == pytest.approx(kappa1, abs=1e-5)
    assert relu_moments(c)[1] == pytest.approx(kappa0, abs=1e-3)


def test_the_second_moment_is_the_derivative_of_the_first_and_rounding_is_clipped():
    c, h = np.linspace(-0.99, 0.99, 21), 1e-6
    slope = (relu_moments(c + h)[0] - relu_moments(c - h)[0]) / (2 * h)
    np.testing.assert_allclose(relu_moments(c)[1], slope, atol=1e-8)
    assert [float(m) for m in relu_moments(1 + 1e-12)] == [0.5, 0.5]


def test_one_layer_is_the_kernel_of_random_features():
    x, z = points(3, 4), points(2, 4, 1)
    w = points(400_000, 4, 2)
    sampled = np.maximum(x @ w.T / 2, 0) @ np.maximum(z @ w.T / 2, 0).T / len(w)
    np.testing.assert_allclose(arccos_nngp(x, z), sampled, atol=0.01)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_variance_halves_a_layer_and_kernels_are_homogeneous(depth):
    x = points(6, 5)
    x[2] = 0.0
    for kernel in (arccos_nngp, fc_ntk):
        K = kernel(x, x, depth)
        np.testing.assert_allclose(K, K.T, atol=1e-15)
        assert np.linalg.eigvalsh(K)[0] > -1e-12
        np.testing.assert_allclose(kernel(3 * x, 2 * x, depth), 6 * K, rtol=1e-7)  # arccos near 1
        assert (K[2] == 0).all()
    norms = (x**2).sum(1) / 5 / 2**depth
    np.testing.assert_allclose(np.diag(arccos_nngp(x, x, depth)), norms)
    np.testing.assert_allclose(np.diag(fc_ntk(x, x, depth)), norms * (depth + 1), rtol=1e-6)


def test_the_tangent_kernel_is_that_of_a_wide_network():
    x, width = points(3, 4), 4000
    generator = torch.Generator().manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(4, width, bias=False), torch.nn.ReLU(), torch.nn.Linear(width, 1, bias=False)
    )
    scales = [1 / 2, 1 / np.sqrt(width)]
    with torch.no_grad():
        for p in net.parameters():
            p.normal_(generator=generator)
    gradients = []
    for row in torch.from_numpy(x).float():
        hidden = torch.relu(net[0](row) * scales[0])
        out = (net[2](hidden) * scales[1]).squeeze()
        gradients.append(torch.cat([g.flatten() for g in torch.autograd.grad(out, net.parameters())]))
    G = torch.stack(gradients)
    np.testing.assert_allclose((G @ G.T).numpy(), fc_ntk(x, x, 1), atol=0.05)


def test_bad_points_and_depths_are_refused():
    x = points(3, 4)
    for kernel in (arccos_nngp, fc_ntk):
        with pytest.raises(BadInput, match="X has 4 columns and Z 3"):
            kernel(x, x[:, :3])
        with pytest.raises(BadInput, match="depth=0"):
            kernel(x, x, 0)
        with pytest.raises(BadInput, match="not finite"):
            kernel(x, np.full((1, 4), np.nan))
        with pytest.raises(BadInput, match="X has shape"):
            kernel(x[0], x)


def images(n, seed=0, side=4):
    return np.random.default_rng(seed).standard_normal((n, 2, side, side))


def test_blocks_and_symmetry_do_not_change_the_convolutional_kernel():
    x, z = images(5), images(3, 1)
    K = conv_ntk(x, batch=2)
    np.testing.assert_allclose(K, K.T)
    np.testing.assert_allclose(K, conv_ntk(x, x, batch=5), rtol=1e-7)
    np.testing.assert_allclose(conv_ntk(x, z, batch=1), conv_ntk(x, z, batch=4), rtol=1e-12)
    np.testing.assert_allclose(conv_ntk(2 * x, 3 * z), 6 * conv_ntk(x, z), rtol=1e-10)
    np.testing.assert_allclose(conv_ntk(x, dtype=torch.float32), K, rtol=1e-4)
    assert np.linalg.eigvalsh(K)[0] > 0
    flipped = conv_ntk(x[..., ::-1].copy(), z[..., ::-1].copy())
    np.testing.assert_allclose(flipped, conv_ntk(x, z), rtol=1e-10)


GOLDEN = {  # first row of the kernel by neural-tangents 0.6.5 in double precision
    "myrtle5": (1.002708306e-03, 6.911995358e-04, 7.200750322e-04),
    "myrtle7": (1.689683816e-05, 1.063769572e-05, 1.102042078e-05),
    "myrtle10": (1.116968334e-07, 6.997288094e-08, 7.197782764e-08),
}


@pytest.mark.parametrize("arch", GOLDEN)
def test_myrtle_kernels_agree_with_another_implementation(arch):
    x = np.sin(1.7 * np.arange(96).reshape(3, 2, 4, 4))
    np.testing.assert_allclose(conv_ntk(x, arch=arch)[0], GOLDEN[arch], rtol=1e-7)


def test_other_images_are_refused():
    x = images(2)
    with pytest.raises(BadInput, match="arch='myrtle6' is unknown"):
        conv_ntk(x, arch="myrtle6")
    with pytest.raises(BadInput, match="batch=0"):
        conv_ntk(x, batch=0)
    with pytest.raises(BadInput, match="multiples of 4"):
        conv_ntk(np.zeros((2, 1, 6, 6)))
    with pytest.raises(BadInput, match="give one shape"):
        conv_ntk(x, images(2, side=8))
    with pytest.raises(BadInput, match="not finite"):
        conv_ntk(np.full((1, 1, 4, 4), np.inf))
