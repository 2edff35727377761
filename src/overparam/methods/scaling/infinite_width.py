"""Networks of one hidden layer at infinite width: exactly where it is linear, by particles where it is not.

From Yang and Hu, Feature Learning in Infinite-Width Neural Networks, arXiv 2011.14522. Under the maximal update
parametrisation the limit of a linear network with one hidden layer lives in finitely many numbers. Every row of the
first matrix and every column of the second stay in the span of the h = d_in + d_out Gaussian vectors that drew them,
and these become orthogonal as the width grows. The coordinates A and B in that span are all there is to train.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from overparam.errors import BadInput

Activation = Literal["tanh", "relu", "identity"]
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "relu": torch.relu, "identity": lambda x: x}


class FiniteLinear(nn.Module):
    """Linear network of one hidden layer: f(x) = alpha W2 (W1 x + bias_mult b).

    `InfiniteLinear.sample` draws one. Train it with the learning rate of the limit: the maximal update
    parametrisation is in the scale of the weights.

    Args:
        input_weight: W1, (n, d_in).
        output_weight: W2, (d_out, n).
        bias: b, (n,), or None.
        bias_mult: Multiplier of the bias.
        alpha: Multiplier of the output.
    """

    bias: nn.Parameter | None

    def __init__(
        self,
        input_weight: Tensor,
        output_weight: Tensor,
        bias: Tensor | None = None,
        *,
        bias_mult: float = 0.0,
        alpha: float = 1.0,
    ) -> None:
        super().__init__()
        self.input_weight = nn.Parameter(input_weight)
        self.output_weight = nn.Parameter(output_weight)
        self.register_parameter("bias", None if bias is None else nn.Parameter(bias))
        self.bias_mult, self.alpha = bias_mult, alpha

    def forward(self, x: Tensor) -> Tensor:
        """Compute the outputs.

        Args:
            x: (m, d_in).

        Returns:
            (m, d_out).
        """
        hidden = x @ self.input_weight.T
        if self.bias is not None:
            hidden = hidden + self.bias_mult * self.bias
        return self.alpha * (hidden @ self.output_weight.T)


class InfiniteLinear(FiniteLinear):
    """Limit of a linear network with one hidden layer under maximal updates: f(x) = alpha B (A x + bias_mult b).

    State: A of shape (h, d_in), starting as [sigma_u I; 0], B of shape (d_out, h), starting as [0, sigma_v I], and b
    of shape (h,), starting at 0, with h = d_in + d_out. Ordinary SGD on (A, B, b) is the exact limit of SGD on
    networks from `sample` with the same learning rate, for any loss and any batches, weight decay included. Adam and
    other optimisers that act on single coordinates are not the limit of themselves.

    Args:
        d_in: Inputs.
        d_out: Outputs.
        sigma_u: Scale of the input weights, sqrt(n) times their standard deviation.
        sigma_v: Scale of the output weights, likewise.
        bias_mult: Multiplier of the hidden bias; 0 for a network without one.
        alpha: Multiplier of the output.

    Raises:
        BadInput: A dimension below 1, or a scale that is not positive and finite.

    A step costs O(m d (d_in + d_out)) for m inputs, d = d_in + d_out.

    Source: arXiv 2011.14522, section on the muP limit of linear networks; code of the authors, `inf1lp`.

    Example:
        >>> limit = InfiniteLinear(3, 2)
        >>> limit(torch.ones(1, 3)).tolist()  # the limit starts at 0
        [[0.0, 0.0]]
        >>> net = limit.sample(4096, torch.Generator().manual_seed(0))
        >>> bool(net(torch.ones(1, 3)).abs().max() < 0.1)
        True
    """

    def __init__(
        self,
        d_in: int,
        d_out: int,
        sigma_u: float = 1.0,
        sigma_v: float = 1.0,
        bias_mult: float = 0.0,
        alpha: float = 1.0,
    ) -> None:
        if d_in < 1 or d_out < 1:
            raise BadInput(f"d_in={d_in}, d_out={d_out}: both have to be at least 1")
        for name, value in (("sigma_u", sigma_u), ("sigma_v", sigma_v), ("alpha", alpha)):
            if not 0 < value < math.inf:
                raise BadInput(f"{name}={value} is not positive and finite; 1 is the usual choice")
        if not 0 <= bias_mult < math.inf:
            raise BadInput(f"bias_mult={bias_mult} is negative or not finite; give 0 for a network without bias")
        h = d_in + d_out
        a, b = torch.zeros(h, d_in), torch.zeros(d_out, h)
        a[:d_in] = sigma_u * torch.eye(d_in)
        b[:, d_in:] = sigma_v * torch.eye(d_out)
        super().__init__(a, b, torch.zeros(h) if bias_mult else None, bias_mult=bias_mult, alpha=alpha)

    @torch.no_grad()
    def sample(self, width: int, generator: torch.Generator) -> FiniteLinear:
        """Draw a network of finite width from the present state.

        With Omega of shape (n, h) and standard normal entries: W1 = Omega A / sqrt(n), W2 = B Omega' / sqrt(n) and
        bias Omega b / sqrt(n). Omega' Omega / n tends to the identity, so its outputs tend to those of the limit, and
        in mean over draws they are equal. The same learning rate keeps it so.

        Args:
            width: n.
            generator: Draws Omega, on the CPU.

        Returns:
            A network on the device and of the type of this one.

        Raises:
            BadInput: A width below 1.
        """
        if width < 1:
            raise BadInput(f"width={width} is below 1; give the number of hidden units")
        like = self.input_weight
        omega = torch.randn(width, len(like), generator=generator, dtype=like.dtype).to(like.device) / math.sqrt(width)
        bias = None if self.bias is None else omega @ self.bias
        return FiniteLinear(
            omega @ like, self.output_weight @ omega.T, bias, bias_mult=self.bias_mult, alpha=self.alpha
        )


class MeanFieldNet(nn.Module):
    """Particles that stand for the limit of a network of one hidden layer: f(x) = mean over i of V_i phi(U_i x).

    U_i and V_i start as independent normal numbers. With `sgd`, a step is U_i <- U_i - eta V_i' chi phi'(U_i x) x and
    V_i <- V_i - eta chi phi(U_i x), chi being the gradient by the output: maximal updates at a width of `particles`,
    in the gauge of mean field theory. There is no exact finite form where phi is not linear. The outputs differ from
    the limit by O(particles^-1/2), at the start as well, where the limit is 0.

    Args:
        d_in: Inputs.
        d_out: Outputs.
        particles: Number P.
        act: `tanh`, `relu` or `identity`.
        sigma_u: Standard deviation of U.
        sigma_v: Standard deviation of V.
        generator: Draws the particles.

    Raises:
        BadInput: A count below 1 or an unknown activation.

    Source: arXiv 2011.14522, table of parametrisations; mean field limit of Mei, Montanari and Nguyen, 2018.

    Example:
        >>> net = MeanFieldNet(3, 1, 1000, generator=torch.Generator().manual_seed(0))
        >>> optimiser = net.sgd(0.1)
        >>> optimiser.param_groups[0]["lr"]  # the mean divides gradients by the number of particles
        100.0
    """

    def __init__(
        self,
        d_in: int,
        d_out: int,
        particles: int,
        act: Activation = "tanh",
        *,
        sigma_u: float = 1.0,
        sigma_v: float = 1.0,
        generator: torch.Generator,
    ) -> None:
        if min(d_in, d_out, particles) < 1:
            raise BadInput(f"d_in={d_in}, d_out={d_out}, particles={particles}: all have to be at least 1")
        if act not in ACTIVATIONS:
            raise BadInput(f"act={act!r} is unknown; give {', '.join(ACTIVATIONS)}")
        super().__init__()
        self.act = act
        self.u = nn.Parameter(sigma_u * torch.randn(particles, d_in, generator=generator))
        self.v = nn.Parameter(sigma_v * torch.randn(d_out, particles, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        """Compute the outputs.

        Args:
            x: (m, d_in).

        Returns:
            (m, d_out).
        """
        return ACTIVATIONS[self.act](x @ self.u.T) @ self.v.T / len(self.u)

    def sgd(self, eta: float) -> torch.optim.SGD:
        """Make the optimiser under which the particles follow the limit.

        Args:
            eta: Learning rate of the limit.

        Returns:
            SGD with rate eta times the number of particles.
        """
        return torch.optim.SGD(self.parameters(), lr=eta * len(self.u))
