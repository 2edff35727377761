"""N-way K-shot tasks, many at once: classes, examples and the split into support and query in three calls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from overparam.errors import BadInput


@dataclass(frozen=True)
class Tasks:
    """A batch of t tasks with s support and q query examples each.

    Attributes:
        support_rows: (t, s), rows of the sampler's `points`.
        query_rows: (t, q), never rows of the same task's support.
        support_labels: (t, s), 0 to ways - 1; which class gets which label is random.
        query_labels: (t, q).
        points: (n, ...), all examples.
        ways: Classes in a task.
    """

    support_rows: Tensor
    query_rows: Tensor
    support_labels: Tensor
    query_labels: Tensor
    points: Tensor
    ways: int

    def __len__(self) -> int:
        return len(self.support_rows)

    @property
    def support(self) -> Tensor:
        """Examples to adapt on, (t, s, ...)."""
        return self.points[self.support_rows]

    @property
    def query(self) -> Tensor:
        """Examples to judge the adapted model on, (t, q, ...)."""
        return self.points[self.query_rows]

    def chunks(self, size: int) -> Iterator[Tasks]:
        """Cut the batch into smaller ones.

        Args:
            size: Tasks in each, the last may have fewer.

        Yields:
            Batches in order.
        """
        for i in range(0, len(self), size):
            part = slice(i, i + size)
            yield Tasks(
                self.support_rows[part], self.query_rows[part], self.support_labels[part], self.query_labels[part],
                self.points, self.ways,
            )  # fmt: skip


class TaskSampler:
    """Draws tasks from examples that are grouped by class.

    Attributes:
        points: (classes * examples, ...), all examples, class after class.

    Raises:
        BadInput: Fewer classes than ways, fewer examples than shots + queries, or a count below 1.

    Example:
        >>> draw = torch.Generator().manual_seed(0)
        >>> sampler = TaskSampler(torch.arange(60.0).reshape(10, 6, 1), ways=5, shots=1, queries=2, generator=draw)
        >>> tasks = sampler.sample(32)
        >>> tuple(tasks.support.shape), tuple(tasks.query.shape)
        ((32, 5, 1), (32, 10, 1))
        >>> bool((tasks.query[:, ::2, 0] // 6 == tasks.support[:, :, 0] // 6).all())  # a way's examples share a class
        True
    """

    def __init__(
        self, examples: Tensor, *, ways: int = 5, shots: int = 1, queries: int = 1, generator: torch.Generator
    ) -> None:
        """Keep the examples.

        Args:
            examples: (classes, examples, ...), as many for each class.
            ways: Classes in a task.
            shots: Support examples a class.
            queries: Query examples a class.
            generator: Source of the draws, on the CPU; a call of `sample` moves it on.
        """
        if min(ways, shots, queries) < 1 or examples.ndim < 3:
            raise BadInput(
                f"ways={ways}, shots={shots}, queries={queries}, examples of shape {tuple(examples.shape)}: give "
                "counts of at least 1 and examples as (classes, examples, ...)"
            )
        classes, each = examples.shape[:2]
        if ways > classes or shots + queries > each:
            raise BadInput(
                f"ways={ways} of {classes} classes, {shots} + {queries} of {each} examples; a task needs as many"
            )
        self.points = examples.flatten(0, 1)
        self._shape = classes, each, ways, shots, queries
        self._generator = generator

    def sample(self, tasks: int) -> Tasks:
        """Draw tasks independently of each other.

        Args:
            tasks: How many.

        Returns:
            The batch; examples are gathered when asked for.
        """
        classes, each, ways, shots, queries = self._shape
        chosen = torch.rand(tasks, classes, generator=self._generator).topk(ways).indices
        picked = torch.rand(tasks, ways, each, generator=self._generator).topk(shots + queries).indices
        rows = (chosen[:, :, None] * each + picked).to(self.points.device)
        labels = torch.arange(ways, device=rows.device)[:, None]
        return Tasks(
            rows[:, :, :shots].flatten(1),
            rows[:, :, shots:].flatten(1),
            labels.expand(ways, shots).flatten().expand(tasks, -1),
            labels.expand(ways, queries).flatten().expand(tasks, -1),
            self.points,
            ways,
        )
