"""First-order MAML: learn a start from which a few gradient steps on a handful of examples suffice.

From Finn, Abbeel and Levine, arXiv 1703.03400, in its first-order form (their section 5.2), with the details of
Yang and Hu, arXiv 2011.14522: each task adapts by plain gradient descent on its support, the gradient of the query
loss at the adapted weights is summed over tasks, clipped, and applied to the start.

Three kinds of model go through the same loop. Any `nn.Module` is adapted by `torch.func`, with one copy of the weights
a task. `FiniteLinear` and its infinite limit never form adapted weights (`linear_maml`). `KernelStart` is the kernel
limit of a network (`kernel_maml`).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, grad_and_value, vmap
from torch.nn.functional import cross_entropy

from overparam.errors import BadInput, Diverged
from overparam.methods.fewshot.adaptation import Inner, Start, clipping
from overparam.methods.fewshot.episodes import Tasks, TaskSampler
from overparam.methods.fewshot.linear_maml import LinearStart
from overparam.methods.scaling.infinite_width import FiniteLinear


class FOMAML:
    """Meta-training and evaluation.

    Args:
        model: An `nn.Module` whose outputs are as many as the ways, `FiniteLinear`, `InfiniteLinear` or `KernelStart`.
            `fit` changes it. A module has to be free of state other than its parameters, such as running averages.
        inner_lr: Step size of the adaptation.
        inner_steps: Steps of the adaptation while training.
        clip: Largest global norm of the outer gradient, which is a sum over tasks, not a mean.

    Raises:
        BadInput: A value that is not positive.

    Source: arXiv 2011.14522, section on MAML; defaults of the authors' code.

    Example:
        >>> draw = torch.Generator().manual_seed(0)
        >>> directions = torch.eye(8)[:, None] + 0.3 * torch.randn(8, 20, 8, generator=draw)  # 8 classes, 20 examples
        >>> tasks = TaskSampler(directions, ways=3, generator=draw)
        >>> model = FOMAML(nn.Linear(8, 3))
        >>> losses = model.fit(tasks, steps=20, lr=0.1)
        >>> float(model.evaluate(tasks, 200, inner_steps=20).mean()) > 0.9
        True
    """

    def __init__(
        self,
        model: nn.Module | Start,
        inner_lr: float = 0.4,
        inner_steps: int = 1,
        clip: float = 0.5,
    ) -> None:
        if not clip > 0:
            raise BadInput(f"clip={clip} is not positive; pass math.inf to leave gradients as they are")
        self.inner = Inner(inner_lr, inner_steps)
        self.clip = clip
        self.model = model
        self._start = _start(model)

    def fit(self, sampler: TaskSampler, steps: int, lr: float, *, tasks: int = 32) -> list[float]:
        """Train the start by SGD.

        Args:
            sampler: Source of tasks.
            steps: Outer steps.
            lr: Outer learning rate.
            tasks: Tasks in a batch.

        Returns:
            Mean query loss of each batch, before the step it led to.

        Raises:
            BadInput: A count below 1 or a rate that is not positive.
            Diverged: A loss is not finite; names the step.
        """
        if steps < 1 or tasks < 1 or not lr > 0:
            raise BadInput(f"steps={steps}, tasks={tasks}, lr={lr}: give counts of at least 1 and a positive rate")
        losses = []
        for step in range(steps):
            loss = self._start.outer_step(sampler.sample(tasks), self.inner, lr, self.clip)
            if not math.isfinite(loss):
                raise Diverged(f"the query loss of step {step} is {loss}; lower lr={lr} or inner_lr={self.inner.lr}")
            losses.append(loss)
        return losses

    def evaluate(self, sampler: TaskSampler, n_tasks: int, inner_steps: int = 20) -> Tensor:
        """Adapt to fresh tasks and count right answers.

        Args:
            sampler: Source of tasks.
            n_tasks: How many.
            inner_steps: Steps of the adaptation, more than in training as a rule.

        Returns:
            (n_tasks,), share of right answers on each task's query, float64.

        Raises:
            BadInput: No tasks.
        """
        if n_tasks < 1:
            raise BadInput(f"n_tasks={n_tasks}; give at least one")
        inner = Inner(self.inner.lr, inner_steps)
        right = [
            (self._start.adapted_logits(part, inner).argmax(-1) == part.query_labels).double().mean(1)
            for part in sampler.sample(n_tasks).chunks(128)
        ]
        return torch.cat(right)


def _start(model: nn.Module | Start) -> Start:
    if isinstance(model, FiniteLinear):
        return LinearStart(model)
    return ModuleStart(model) if isinstance(model, nn.Module) else model


class ModuleStart:
    """Any network, adapted by automatic differentiation, all tasks of a batch in one call.

    Memory: one copy of the weights a task. `FOMAML` wraps modules in it.

    Args:
        module: Its parameters are the start.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module

    def adapted_logits(self, tasks: Tasks, inner: Inner) -> Tensor:
        """Adapt to each task and look at its query; see `Start`."""
        adapted = self._adapt(tasks, inner)
        found: Tensor = vmap(lambda p, x: functional_call(self._module, p, (x,)))(adapted, tasks.query)
        return found

    def outer_step(self, tasks: Tasks, inner: Inner, lr: float, clip: float) -> float:
        """Move the start against the summed query gradient; see `Start`."""
        adapted = self._adapt(tasks, inner)
        found, losses = vmap(grad_and_value(self._loss))(adapted, tasks.query, tasks.query_labels)
        summed = {name: g.sum(0) for name, g in found.items()}
        scale = clipping(sum(float((g**2).sum()) for g in summed.values()), clip)
        with torch.no_grad():
            for name, parameter in self._module.named_parameters():
                parameter.add_(summed[name], alpha=-lr * scale)
        return float(losses.mean())

    def _loss(self, parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return cross_entropy(functional_call(self._module, parameters, (x,)), y)

    def _adapt(self, tasks: Tasks, inner: Inner) -> dict[str, Tensor]:
        start = {name: p.detach().expand(len(tasks), *p.shape) for name, p in self._module.named_parameters()}
        x, y = tasks.support, tasks.support_labels
        for _ in range(inner.steps):
            slopes = vmap(grad(self._loss))(start, x, y)
            start = {name: p - inner.lr * slopes[name] for name, p in start.items()}
        return start
