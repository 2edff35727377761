"""Experiments: functions that do one trial, declared with their grid, seeds and data.

An experiment stays an ordinary function. The decorator only attaches a declaration, so that claims can be read
without torch and trials can be planned without running anything.
"""

from __future__ import annotations

import inspect
import itertools
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from overparam.errors import BadInput, NotFound

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from overparam.lab.trials import Trials

Scale = Literal["smoke", "laptop", "paper"]
SCALES: tuple[Scale, ...] = ("smoke", "laptop", "paper")
Value = int | float | str | bool
F = TypeVar("F", bound=Callable[..., Any])
RESERVED = ("seed", "seeds", "progress", "sabotage")


@dataclass(frozen=True)
class FirstAvailable:
    """A grid value that resolves, when the run is planned, to the first data set at hand, or to nothing."""

    names: tuple[str, ...]

    def resolve(self) -> Sequence[Value]:
        """Return the first available name in a list, or an empty list."""
        from overparam import data

        return [name for name in self.names if data.available(name)][:1]


def first_available(*names: str) -> FirstAvailable:
    """Choose the first of several data sets that is at hand when the run is planned.

    Args:
        names: Data sets in order of preference. End with `digits`, which is always there, or let the points of
            the grid disappear where none is.

    Returns:
        A value list for `grid`.
    """
    return FirstAvailable(names)


class Grid:
    """A union of products of parameter values."""

    def __init__(self, products: Sequence[Mapping[str, Sequence[Value] | FirstAvailable]]) -> None:
        self.products = tuple(products)

    def __add__(self, other: Grid) -> Grid:
        return Grid((*self.products, *other.products))

    def missing(self) -> list[str]:
        """Name the data sets without which the grid has no points, if it has none."""
        values = [v for product in self.products for v in product.values() if isinstance(v, FirstAvailable)]
        wanted = [" or ".join(v.names) for v in values if not v.resolve()]
        return [] if any(True for _ in self.points()) else list(dict.fromkeys(wanted))

    def varied(self) -> list[str]:
        """Name the parameters that take more than one value: those that tell points apart."""
        values: dict[str, set[Value]] = {}
        for point in self.points():
            for name, value in point.items():
                values.setdefault(name, set()).add(value)
        return [name for name, taken in values.items() if len(taken) > 1]

    def points(self) -> Iterator[dict[str, Value]]:
        """Yield every point once, in the order declared."""
        seen: set[tuple[tuple[str, Value], ...]] = set()
        for product in self.products:
            lists = [v.resolve() if isinstance(v, FirstAvailable) else v for v in product.values()]
            for values in itertools.product(*lists):
                point = dict(zip(product, values, strict=True))
                identity = tuple(sorted(point.items()))
                if identity not in seen:
                    seen.add(identity)
                    yield point


def grid(**values: Sequence[Value] | FirstAvailable) -> Grid:
    """Declare the product of some parameter values.

    Args:
        values: Parameter to the values it takes.

    Returns:
        A grid; `+` joins two.

    Raises:
        BadInput: A value list that is a single string or not a sequence.

    Example:
        >>> list((grid(width=[8, 16]) + grid(width=[32])).points())
        [{'width': 8}, {'width': 16}, {'width': 32}]
    """
    for name, given in values.items():
        if isinstance(given, str) or not isinstance(given, Sequence | FirstAvailable):
            raise BadInput(f"grid({name}={given!r}) is no list of values; write {name}=[{given!r}]")
    return Grid([values])


@dataclass(frozen=True)
class Seeds:
    """Number of seeds at each scale; they run from 0."""

    smoke: int = 4
    laptop: int = 5
    paper: int = 10


@dataclass(frozen=True)
class Experiment:
    """Declaration of an experiment.

    Attributes:
        function: Does one trial, or one grid point with all its seeds if `batched`.
        grids: Scale to grid; a scale that is absent is not part of the experiment.
        seeds: How many seeds a grid point has.
        batched: Whether the function takes `seeds` and returns one dict a seed.
        reads: Data sets, or parameters that name one; their checksums are part of the cache key.
        sabotage: What the function breaks when called with `sabotage=True`; empty if it cannot.
        time_limit: Seconds of wall time a trial may take.
        memory_limit: Megabytes a trial may allocate.
        gpus: Accelerators that a cluster has to set aside for a trial.
    """

    function: Callable[..., Any]
    grids: Mapping[Scale, Grid]
    seeds: Seeds
    batched: bool
    reads: tuple[str, ...]
    sabotage: str
    time_limit: float
    memory_limit: float
    gpus: float = 0.0
    parameters: Mapping[str, type] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the function."""
        return self.function.__name__

    @property
    def takes(self) -> frozenset[str]:
        """Reserved arguments that the function asks for."""
        return frozenset(inspect.signature(self.function).parameters) & frozenset(RESERVED)

    def seeds_at(self, scale: Scale) -> tuple[int, ...]:
        """Return the seeds of a grid point; a function without seeds has the single seed 0.

        Args:
            scale: One of the three scales.

        Returns:
            Seeds from 0.
        """
        return tuple(range(getattr(self.seeds, scale))) if self.takes & {"seed", "seeds"} else (0,)

    def data_of(self, params: Mapping[str, Value]) -> tuple[str, ...]:
        """Return the names of the data sets that a trial reads.

        Args:
            params: Parameters of the trial.

        Returns:
            Names, sorted.
        """
        return tuple(sorted({str(params.get(name, name)) for name in self.reads}))

    def check(self, params: Mapping[str, Value]) -> None:
        """Check a grid point against the signature.

        Args:
            params: Parameters of the trial.

        Raises:
            BadInput: An unknown, missing or ill-typed parameter.
        """
        known = ", ".join(self.parameters) or "none"
        for name, value in params.items():
            if name not in self.parameters:
                raise BadInput(f"{self.name} has no parameter {name!r}; it has {known}")
            kind = self.parameters[name]
            fine = isinstance(value, int) and not isinstance(value, bool) if kind is float else type(value) is kind
            if not (fine or type(value) is kind):
                raise BadInput(f"{self.name}: {name}={value!r} is no {kind.__name__}; give a value of that type")
        signature = inspect.signature(self.function).parameters
        missing = [n for n in self.parameters if n not in params and signature[n].default is inspect.Parameter.empty]
        if missing:
            raise BadInput(f"{self.name}: the grid gives no value for {', '.join(missing)}; it has {known}")


def experiment(
    *,
    smoke: Grid | None = None,
    laptop: Grid | None = None,
    paper: Grid | None = None,
    seeds: Seeds | None = None,
    batched: bool = False,
    reads: Sequence[str] = (),
    sabotage: str = "",
    time_limit: float = 3600.0,
    memory_limit: float = 16_000.0,
    gpus: float = 0.0,
) -> Callable[[F], F]:
    """Declare a function as an experiment.

    Args:
        smoke: Grid of the scale that tests run.
        laptop: Grid of the default scale.
        paper: Grid of the paper's own setting.
        seeds: Number of seeds at each scale.
        batched: Whether the function takes `seeds` and returns one dict a seed.
        reads: Data sets, or parameters that name one.
        sabotage: What the function breaks when called with `sabotage=True`.
        time_limit: Seconds of wall time a trial may take.
        memory_limit: Megabytes a trial may allocate.
        gpus: Accelerators that a cluster has to set aside for a trial.

    Returns:
        A decorator that leaves the function as it is and attaches the declaration.

    Raises:
        BadInput: A grid that does not fit the signature, or a sabotage that the function cannot perform.
    """
    given: dict[Scale, Grid | None] = {"smoke": smoke, "laptop": laptop, "paper": paper}

    def declare(function: F) -> F:
        hints = typing.get_type_hints(function)
        names = inspect.signature(function).parameters
        declared = Experiment(
            function=function,
            grids={scale: g for scale, g in given.items() if g is not None},
            seeds=seeds or Seeds(),
            batched=batched,
            reads=tuple(reads),
            sabotage=sabotage,
            time_limit=time_limit,
            memory_limit=memory_limit,
            gpus=gpus,
            parameters={n: hints.get(n, float) for n in names if n not in RESERVED},
        )
        if bool(sabotage) != ("sabotage" in declared.takes):
            raise BadInput(f"{function.__name__}: a sabotage needs both its description and a parameter `sabotage`")
        if batched != ("seeds" in declared.takes):
            raise BadInput(f"{function.__name__}: batched={batched} but the function takes {sorted(declared.takes)}")
        for g in declared.grids.values():
            for product in g.products:
                plain = {k: (v.names[0] if isinstance(v, FirstAvailable) else v[0]) for k, v in product.items() if v}
                declared.check(plain)
        function.experiment = declared  # type: ignore[attr-defined]
        return function

    return declare


class Progress:
    """Lets a trial say how far it is. Costs nothing where nobody listens."""

    def __init__(self, listen: Callable[[float, str], None] | None = None) -> None:
        self._listen = listen

    def step(self, done: float, total: float, note: str = "") -> None:
        """Report progress.

        Args:
            done: Work done, in any unit.
            total: All the work, in the same unit.
            note: What is being done now.
        """
        if self._listen is not None:
            self._listen(min(1.0, done / total) if total > 0 else 0.0, note)


@dataclass(frozen=True)
class Drawing:
    """A figure with its words.

    Attributes:
        figure: A matplotlib figure in the house style.
        caption: The finding in one sentence, then what lines and bands are.
        description: The same for readers who cannot see it; the caption if empty.
        table: Data behind the figure.
    """

    figure: Figure
    caption: str
    description: str = ""
    table: pd.DataFrame | None = None


def figure(*, on: Callable[..., Any]) -> Callable[[F], F]:
    """Declare a function that draws the trials of an experiment.

    Args:
        on: The experiment whose table the function takes.

    Returns:
        A decorator that leaves the function as it is.

    Raises:
        BadInput: `on` is no experiment.
    """
    if not hasattr(on, "experiment"):
        raise BadInput(f"figure(on={on!r}) is no experiment; decorate it with @experiment first")

    def declare(function: F) -> F:
        function.figure_on = on.__name__  # type: ignore[attr-defined]
        return function

    return declare


Draw = Callable[["Trials"], Drawing]


def experiments_of(module: Any) -> dict[str, Experiment]:
    """List the experiments that a module defines, or imports from the other modules of its folder.

    Args:
        module: An imported `experiments` module.

    Returns:
        Name to declaration, in the order of the source.
    """
    return {v.__name__: v.experiment for v in _own(module) if isinstance(getattr(v, "experiment", None), Experiment)}


def figures_of(module: Any) -> list[tuple[str, Draw]]:
    """List the figures that a module defines, or imports from the other modules of its folder.

    Args:
        module: An imported `experiments` module.

    Returns:
        Name of the experiment and the drawing function, in the order of the source.
    """
    return [(v.figure_on, v) for v in _own(module) if hasattr(v, "figure_on")]


def _own(module: Any) -> Iterator[Any]:
    folder = module.__name__.rpartition(".")[0]
    for value in vars(module).values():
        home = getattr(value, "__module__", None) or ""
        if home == module.__name__ or (folder and home.startswith(f"{folder}.")):
            yield value


def require_scale(scale: str) -> Scale:
    """Check the name of a scale.

    Args:
        scale: As given by the user.

    Returns:
        The same, typed.

    Raises:
        NotFound: It is none of the three.
    """
    if scale not in SCALES:
        raise NotFound(f"scale {scale!r} is unknown; choose smoke, laptop or paper")
    return scale
