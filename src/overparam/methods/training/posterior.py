"""Posterior ensembles of any module: several Langevin chains at once, averaged in probability.

Source: arXiv 2506.07661 (practice: SGLD, ensembling of predictive probabilities, distillation).
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.nn.functional import cross_entropy, log_softmax, nll_loss

from overparam.errors import BadInput, Diverged
from overparam.methods.training.sgld import check_langevin

State = dict[str, Tensor]


class PosteriorEnsemble(nn.Module):
    """Samples of the weights of one classifier; predicts with the mean of their probabilities.

    Args:
        model: Gives logits (n, classes).
        samples: Name of each parameter to (K, ...) values.

    Source: arXiv 2506.07661: probabilities are averaged, not logits.
    """

    def __init__(self, model: nn.Module, samples: State) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).requires_grad_(False)
        self.samples = {name: value.detach() for name, value in samples.items()}

    def members(self, x: Tensor) -> Tensor:
        """Return the log probabilities of each sample.

        Args:
            x: (n, ...).

        Returns:
            (K, n, classes).
        """
        with torch.no_grad():
            found: Tensor = vmap(lambda state: log_softmax(functional_call(self.model, state, (x,)), -1))(self.samples)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Return the log of the mean probability.

        Args:
            x: (n, ...).

        Returns:
            (n, classes).
        """
        each = self.members(x)
        return torch.logsumexp(each, 0) - math.log(len(each))

    def log_loss(self, x: Tensor, y: Tensor) -> float:
        """Return the mean log-loss of the ensemble.

        Args:
            x: (n, ...).
            y: (n,) labels.

        Returns:
            Nats an example; never above the mean of the members' (Jensen).
        """
        return float(nll_loss(self(x), y))

    def distill(self, student: nn.Module, x: Tensor, *, steps: int = 500, lr: float = 1e-2) -> nn.Module:
        """Train one network to predict like the ensemble, on inputs without labels.

        Args:
            student: Gives logits; trained in place with Adam.
            x: (n, ...) inputs.
            steps: Full-batch steps.
            lr: Step of Adam.

        Returns:
            The student.
        """
        teacher = self(x).exp()
        optimiser = torch.optim.Adam(student.parameters(), lr=lr)
        for _ in range(steps):
            optimiser.zero_grad()
            cross_entropy(student(x), teacher).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        return student


@dataclass(frozen=True)
class Chains:
    """What the sampler returns.

    Attributes:
        ensemble: All kept samples of all chains.
        acceptance: Share of accepted proposals of each chain, (K,); ones for SGLD, which accepts all.
        log_loss: (kept, K) mean training log-loss along each chain.
    """

    ensemble: PosteriorEnsemble
    acceptance: Tensor
    log_loss: Tensor


def sample_posterior(
    models: Sequence[nn.Module],
    x: Tensor,
    y: Tensor,
    *,
    lr: float,
    samples: int,
    burn_in: int,
    thin: int = 10,
    prior_precision: float | State = 1.0,
    temperature: float = 1.0,
    sampler: Literal["sgld", "mala"] = "sgld",
    batch: int | None = None,
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
    generator: torch.Generator | None = None,
) -> Chains:
    """Sample the weights of a network, one chain from each start, all chains in one batched program.

    Args:
        models: Starts of the same architecture, such as K trained networks; they are not changed.
        x: (N, ...) training inputs.
        y: (N,) labels.
        lr: Step.
        samples: Kept from each chain.
        burn_in: Steps before the first is kept.
        thin: Steps between kept ones.
        prior_precision: Of a normal prior around 0; one number, or for each parameter by name a number or a tensor that
            fits (chains, ...).
        temperature: 1 for the posterior.
        sampler: `sgld`, or `mala`, which corrects each full-batch step by Metropolis and has no bias.
        batch: Examples a step, drawn afresh; all if None.
        loss: Takes outputs and targets, returns the mean negative log likelihood in nats.
        generator: Source of randomness.

    Returns:
        Ensemble and diagnostics.

    Raises:
        BadInput: No model, normalisation by batch, a setting out of range, or MALA with batches.
        Diverged: The loss is not finite; the step is named.
    """
    _check(models, sampler, batch, samples, burn_in, thin)
    largest = prior_precision if isinstance(prior_precision, int | float) else 1.0
    check_langevin(lr, len(x), float(largest), temperature)
    stacked, _ = stack_module_state(list(models))
    state = {name: value.detach().clone() for name, value in stacked.items()}
    precision = _precisions(state, prior_precision)
    chain = _Chain(models[0], loss, precision, len(x), lr, temperature, generator)
    accepted = torch.zeros(len(models))
    kept: list[State] = []
    losses: list[Tensor] = []
    total = burn_in + (samples - 1) * thin + 1
    gradient, energy, now = chain.slope(state, x, y)
    for step in range(total):
        if batch is not None:
            rows = torch.randint(len(x), (batch,), generator=generator)
            gradient, energy, now = chain.slope(state, x[rows], y[rows])
        if not bool(torch.isfinite(now).all()):
            raise Diverged(f"the loss is not finite at step {step}; lower lr={lr:g}")
        state, gradient, energy, now, taken = chain.move(state, gradient, energy, now, x, y, sampler, batch is None)
        accepted += taken
        if step >= burn_in and (step - burn_in) % thin == 0:
            kept.append({name: value.clone() for name, value in state.items()})
            losses.append(now)
    joined = {name: torch.cat([k[name] for k in kept]) for name in state}
    return Chains(PosteriorEnsemble(models[0], joined), accepted / total, torch.stack(losses))


def _check(models: Sequence[nn.Module], sampler: str, batch: int | None, samples: int, burn_in: int, thin: int) -> None:
    if not models:
        raise BadInput("no models to start from; give at least one")
    if sampler not in ("sgld", "mala"):
        raise BadInput(f"sampler={sampler!r} is unknown; give 'sgld' or 'mala'")
    if sampler == "mala" and batch is not None:
        raise BadInput("mala needs the full batch; leave batch out, or take sgld")
    if samples < 1 or burn_in < 0 or thin < 1 or (batch is not None and batch < 1):
        raise BadInput(f"samples={samples}, burn_in={burn_in}, thin={thin}, batch={batch}: counts have to be positive")
    for module in models[0].modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            raise BadInput("batch normalisation makes the likelihood depend on the batch; use a model without it")
        if isinstance(module, nn.modules.dropout._DropoutNd) and module.training and module.p > 0:
            warnings.warn("dropout is on: the samples are not those of one posterior; call eval() first", stacklevel=3)


def _precisions(state: State, given: float | State) -> State:
    if isinstance(given, int | float):
        return {name: torch.full((), float(given)) for name in state}
    missing = [name for name in state if name not in given]
    if missing:
        raise BadInput(f"prior_precision has no entry for {missing[0]!r}")
    return {name: torch.as_tensor(given[name]) for name in state}


class _Chain:
    """One step of all chains."""

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[[Tensor, Tensor], Tensor],
        precision: State,
        n: int,
        lr: float,
        temperature: float,
        generator: torch.Generator | None,
    ) -> None:
        self.precision, self.n, self.lr = precision, n, lr
        self.temperature, self.generator = temperature, generator

        def mean_loss(state: State, x: Tensor, y: Tensor) -> Tensor:
            return loss(functional_call(model, state, (x,)), y)

        self._slope = vmap(grad_and_value(mean_loss), in_dims=(0, None, None), randomness="same")

    def slope(self, state: State, x: Tensor, y: Tensor) -> tuple[State, Tensor, Tensor]:
        """Gradient of U, U itself and the mean loss, for every chain."""
        gradients, loss = self._slope(state, x, y)
        energy = self.n * loss
        found = {}
        for name, value in state.items():
            pull = self.precision[name] * value
            found[name] = self.n * gradients[name] + pull
            energy = energy + 0.5 * (pull * value).flatten(1).sum(1)
        return found, energy, loss.detach()

    def move(
        self,
        state: State,
        gradient: State,
        energy: Tensor,
        loss: Tensor,
        x: Tensor,
        y: Tensor,
        sampler: str,
        full: bool,
    ) -> tuple[State, State, Tensor, Tensor, Tensor]:
        """Propose, and for MALA accept or refuse."""
        spread = math.sqrt(self.lr * self.temperature)
        noise = {k: torch.randn(v.shape, generator=self.generator, dtype=v.dtype) for k, v in state.items()}
        proposal = {k: state[k] - 0.5 * self.lr * gradient[k] + spread * noise[k] for k in state}
        if sampler == "sgld":
            if not full:
                return proposal, gradient, energy, loss, torch.ones(len(loss))
            return proposal, *self.slope(proposal, x, y), torch.ones(len(loss))
        new_gradient, new_energy, new_loss = self.slope(proposal, x, y)
        forward = sum(0.5 * (noise[k] ** 2).flatten(1).sum(1) for k in state)
        back = sum(
            ((state[k] - proposal[k] + 0.5 * self.lr * new_gradient[k]) ** 2).flatten(1).sum(1)
            / (2 * self.lr * self.temperature)
            for k in state
        )
        chance = (energy - new_energy) / self.temperature + forward - back
        taken = torch.rand(len(chance), generator=self.generator).log() < chance

        def choose(new: Tensor, old: Tensor) -> Tensor:
            return torch.where(taken.view(-1, *[1] * (new.ndim - 1)), new, old)

        chosen = {k: choose(proposal[k], state[k]) for k in state}
        slopes = {k: choose(new_gradient[k], gradient[k]) for k in state}
        return chosen, slopes, choose(new_energy, energy), choose(new_loss, loss), taken.float()
