"""The prepared subject: private copies of the model, examples as tensors, and the states of its training."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from overparam.errors import BadInput
from overparam.examine.examples import Adapted, Examples, read
from overparam.examine.section import Card
from overparam.examine.subject import State, Subject
from overparam.examine.thumbnails import Thumbnails
from overparam.methods.measures.objective import Loss, batches, check_model, losses


@dataclass
class Bench:
    """What the sections share.

    Attributes:
        model: A copy in evaluation mode that takes one tensor; never the user's own.
        loss: Takes outputs and labels.
        examples: In random order: the first n are a random sample.
        classes: Number of classes, or 0 where this is no classification.
        why_none: Why it is none, in words.
        names: Names of the classes.
        checkpoints: Earlier states, in order.
        initial: State before training, or None.
        seed: Of all that is drawn.
        probabilities: (n, classes) as the sections found them, once known.
        columns: Name to score of each example, for the table of all scores.
    """

    model: Adapted
    loss: Loss
    examples: Examples
    classes: int
    why_none: str
    names: tuple[str, ...]
    checkpoints: tuple[State, ...]
    initial: State | None
    seed: int
    thumbnails: Thumbnails
    probabilities: NDArray[np.float64] | None = None
    columns: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def x(self) -> Tensor:
        """Inputs, on the CPU."""
        return self.examples.x

    @property
    def y(self) -> Tensor:
        """Labels, on the CPU."""
        return self.examples.y

    @property
    def device(self) -> torch.device:
        """Where the model lies."""
        return next(self.model.parameters()).device

    def sample(self, n: int, start: int = 0) -> tuple[Tensor, Tensor]:
        """Return some examples, on the model's device.

        Args:
            n: How many, at most.
            start: First one in the random order.

        Returns:
            Inputs and labels.
        """
        return self.x[start : start + n].to(self.device), self.y[start : start + n].to(self.device)

    def states(self, *, newest_first: bool = False) -> Iterator[tuple[str, nn.Module]]:
        """Go through the model at its checkpoints and at present; one at a time is in memory.

        Args:
            newest_first: Whether to begin with the present.

        Yields:
            Name and model in evaluation mode.
        """
        order = [*range(len(self.checkpoints)), -1]
        earlier = copy.deepcopy(self.model) if self.checkpoints else self.model
        for k in reversed(order) if newest_first else order:
            if k < 0:
                yield "present", self.model
            else:
                earlier.inner.load_state_dict(self.checkpoints[k])
                yield f"checkpoint {k + 1}", earlier

    def affordable(self, work: Callable[[int], object], deadline: float, *, most: int, trial: int = 64) -> int:
        """Choose how many examples to take: time a few, then more, and fill nine tenths of the time that is left.

        Args:
            work: Does what is to be done for so many examples, in time that grows in proportion.
            deadline: Moment of `time.monotonic()`.
            most: Examples at most.
            trial: Examples to time first.

        Returns:
            How many.
        """
        trial = min(trial, most)
        work(trial)  # the first time pays for set-up
        while True:
            start = time.monotonic()
            work(trial)
            spent, left = time.monotonic() - start, max(0.0, deadline - time.monotonic())
            fits = int(0.9 * left * trial / max(spent, 1e-9))
            if trial == most or fits < 8 * trial or spent > 0.05 * left:  # few examples make each look dear
                return max(trial, min(most, fits))
            trial = min(most, 4 * trial)

    def name_of(self, label: int) -> str:
        """Return the name of a class, or its number.

        Args:
            label: Class.

        Returns:
            Text.
        """
        return str(self.names[label]) if 0 <= label < len(self.names) else f"class {label}"

    def card(self, row: int, *lines: str) -> Card:
        """Make the card of an example.

        Args:
            row: In `examples`.
            lines: Short lines under it.

        Returns:
            Card.
        """
        position = int(self.examples.positions[row])
        image, text = self.thumbnails.show(position, self.x[row])
        return Card(position, image, text, lines)


def prepare(subject: Subject, *, limit: int, seed: int, deadline: float) -> Bench:
    """Copy the model, read the examples, and look at one batch.

    Args:
        subject: Model, loss and data.
        limit: Examples at most.
        seed: Of their order.
        deadline: Moment of `time.monotonic()` at which reading stops.

    Returns:
        The bench.

    Raises:
        BadInput: A model, a loss or data that do not fit together.
    """
    examples = read(subject.data, subject.model, limit=limit, seed=seed, deadline=deadline)
    try:
        model = Adapted(copy.deepcopy(subject.model), examples.names).eval()
    except Exception as error:
        raise BadInput(f"model cannot be copied ({error}); it must work with copy.deepcopy") from error
    check_model(model)
    device = next(model.parameters()).device
    x, y = next(iter(batches((examples.x[:8].to(device), examples.y[:8].to(device)))))
    try:
        with torch.no_grad():
            outputs = model(x)
    except BadInput:
        raise
    except Exception as error:
        raise BadInput(
            f"model fails on a batch of shape {tuple(x.shape)} ({type(error).__name__}: {str(error).splitlines()[0]}); "
            "check that data gives what the model takes"
        ) from error
    loss: Loss = subject.loss or nn.functional.cross_entropy
    try:
        first = losses(loss, outputs, y)
    except BadInput:
        raise
    except Exception as error:
        raise BadInput(
            f"loss fails on outputs of shape {tuple(outputs.shape)} and labels of shape {tuple(y.shape)} "
            f"({type(error).__name__}: {str(error).splitlines()[0]})"
        ) from error
    if not bool(torch.isfinite(first).all()):
        raise BadInput("the loss of the first examples is NaN or infinite; look at model and data")
    classes, why = _classes(outputs, examples.y)
    thumbnails = Thumbnails(examples, subject.describe)
    names, states = tuple(map(str, subject.classes)), tuple(subject.checkpoints)
    return Bench(model, loss, examples, classes, why, names, states, subject.initial, seed, thumbnails)


def _classes(outputs: Tensor, y: Tensor) -> tuple[int, str]:
    """Number of classes, or 0 with the reason."""
    if outputs.dim() != 2 or y.dim() != 1 or y.is_floating_point():
        return 0, "outputs and labels are not those of one class an example"
    if outputs.shape[1] < 2:
        return 0, "the model has a single output, so there are no classes to confuse"
    if int(y.min()) < 0 or int(y.max()) >= outputs.shape[1]:
        return 0, f"labels go from {int(y.min())} to {int(y.max())}, but the model has {outputs.shape[1]} outputs"
    if int(y.min()) == int(y.max()):
        return 0, "all labels are of one class"
    return outputs.shape[1], ""
