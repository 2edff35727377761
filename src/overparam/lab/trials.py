"""The table of finished trials that rules and figures read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from overparam.errors import BadInput
from overparam.lab.model import matches

if TYPE_CHECKING:
    import pandas as pd


class Trials:
    """Finished trials of one experiment: a row each, with parameters, `seed` and metrics as columns.

    Rows are sorted by parameters and seed, so nothing depends on the order in which trials ended.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self.rows: list[dict[str, Any]] = [dict(row) for row in rows]

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The table as a data frame."""
        import pandas as pd

        return pd.DataFrame(self.rows)

    def where(self, condition: Mapping[str, Any] | None) -> Trials:
        """Keep the rows that meet every condition.

        Args:
            condition: Column to value, or to several values in a tuple.

        Returns:
            A smaller table.

        Raises:
            BadInput: A column that no row has.
        """
        if not condition:
            return self
        for name in condition:
            if self.rows and all(name not in row for row in self.rows):
                raise BadInput(f"no trial has a column {name!r}; it has {', '.join(sorted(self.rows[0]))}")
        return Trials(row for row in self.rows if all(matches(row.get(k), v) for k, v in condition.items()))

    def columns(self, names: Sequence[str], condition: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Return some columns, row by row.

        Args:
            names: Columns.
            condition: Rows to keep.

        Returns:
            One tuple a row.

        Raises:
            BadInput: A column that no row has.
        """
        table = self.where(condition)
        for name in names:
            if table.rows and all(name not in row for row in table.rows):
                raise BadInput(f"no trial has a column {name!r}; it has {', '.join(sorted(table.rows[0]))}")
        return [tuple(row.get(name) for name in names) for row in table.rows]

    def values(self, metric: str, condition: Mapping[str, Any] | None = None) -> list[float]:
        """Return the defined values of a metric.

        Args:
            metric: Column.
            condition: Rows to keep.

        Returns:
            Values in the order of the rows, without those that are None.
        """
        return [float(v) for (v,) in self.columns((metric,), condition) if v is not None]

    def by_unit(self, metric: str, condition: Mapping[str, Any] | None, across: str) -> tuple[list[Any], list[float]]:
        """Average a metric inside each unit of evidence.

        Args:
            metric: Column.
            condition: Rows to keep.
            across: Column that names the unit.

        Returns:
            Units and their means.
        """
        groups: dict[Any, list[float]] = {}
        for unit, value in self.columns((across, metric), condition):
            if value is not None:
                groups.setdefault(unit, []).append(float(value))
        return list(groups), [sum(v) / len(v) for v in groups.values()]

    def pairs_by_unit(
        self, x: str, y: str, condition: Mapping[str, Any] | None, across: str
    ) -> dict[Any, tuple[list[float], list[float]]]:
        """Collect two columns inside each unit of evidence.

        Args:
            x: First column.
            y: Second column.
            condition: Rows to keep.
            across: Column that names the unit.

        Returns:
            Unit to values of both columns; rows that lack one are left out.
        """
        groups: dict[Any, tuple[list[float], list[float]]] = {}
        for unit, a, b in self.columns((across, x, y), condition):
            if a is not None and b is not None:
                xs, ys = groups.setdefault(unit, ([], []))
                xs.append(float(a))
                ys.append(float(b))
        return groups
