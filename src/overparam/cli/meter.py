"""Progress of a run on stderr."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from overparam.cli.screen import COLOURS, DIM, plain
from overparam.lab.wording import duration


class Meter:
    """Progress on stderr: a line an experiment, cleared at the end; plain lines where it is no terminal.

    Args:
        title: First line.
        subtitle: Second line.
        experiments: Name to number of trials.
        console: Where to draw.
        unit: What is counted.
        hint: Last line.
    """

    WIDE = 24
    SILENT_SECONDS = 10.0

    def __init__(
        self,
        title: str,
        subtitle: str,
        experiments: Mapping[str, int],
        console: Console,
        *,
        unit: str = "trials",
        hint: str = "Ctrl-C stops cleanly; the same command goes on from here.",
    ) -> None:
        self._title, self._subtitle, self._totals, self._console = title, subtitle, dict(experiments), console
        self._unit, self._hint = unit, hint
        self._done = dict.fromkeys(experiments, 0)
        self._cached = dict.fromkeys(experiments, 0)
        self._notes = dict.fromkeys(experiments, "")
        self._left: float | None = None
        self._said = time.monotonic()
        self._live = (
            Live(console=console, get_renderable=self._render, refresh_per_second=4, transient=True)
            if console.is_terminal
            else None
        )

    def __enter__(self) -> Meter:
        if self._live:
            self._live.start()
        else:
            self._console.print(self._title)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def done(self, experiment: str, n: int, *, cached: bool = False) -> None:
        """Count trials that ended.

        Args:
            experiment: Which.
            n: How many.
            cached: Whether they were known before.
        """
        self._done[experiment] += n
        self._cached[experiment] += n if cached else 0
        self._tell()

    def note(self, experiment: str, text: str) -> None:
        """Say what runs now.

        Args:
            experiment: Which.
            text: What.
        """
        self._notes[experiment] = text
        self._tell()

    def left(self, seconds: float) -> None:
        """Say how long it will take.

        Args:
            seconds: Estimate.
        """
        self._left = seconds

    def _tell(self) -> None:
        if self._live or time.monotonic() - self._said < self.SILENT_SECONDS:
            return
        self._said = time.monotonic()
        left = f", about {duration(self._left)} left" if self._left else ""
        self._console.print(f"  {sum(self._done.values()):,} of {sum(self._totals.values()):,} {self._unit} done{left}")

    def _render(self) -> RenderableType:
        table = Table.grid(padding=(0, 2, 0, 0))
        for name, total in self._totals.items():
            done = self._done[name]
            full = self.WIDE * done // max(1, total)
            signs = ("=", ".") if plain() else ("━", "─")
            colour = COLOURS["reproduced"] if done == total else COLOURS["running"]
            line = Text(f"{signs[0] * full}", style=colour) + Text(signs[1] * (self.WIDE - full), style=DIM)
            words = (
                ["cached"]
                if done == total and self._cached[name] == total
                else []
                if done == total
                else [self._notes[name]]
            )
            table.add_row(
                f"  {name.replace('_', ' ')}",
                line,
                Text(f"{done}/{total}", justify="right"),
                Text(" · ".join(w for w in words if w), style=DIM, no_wrap=True, overflow="ellipsis"),
            )
        left = f" · about {duration(self._left)} to go" if self._left else ""
        return Group(
            Text(self._title, style="bold"),
            Text(self._subtitle + left, style=DIM, no_wrap=True, overflow="ellipsis"),
            Text(),
            table,
            Text(f"  {self._hint}", style=DIM),
        )
