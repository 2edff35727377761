"""Turns a request into tasks with content-addressed keys. Nothing runs here and nothing heavy is kept."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import itertools
import json
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from overparam.errors import BadInput, NotFound
from overparam.lab.closure import experiment_fingerprint
from overparam.lab.experiment import Experiment, Grid, Scale, Value
from overparam.lab.model import Claim
from overparam.lab.registry import Entry

NUMERIC = ("torch", "numpy", "scipy", "scikit-learn", "pandas")


@dataclass(frozen=True)
class Task:
    """The unit that an engine executes: one trial, or one grid point with all seeds of a batched experiment.

    Attributes:
        number: Position among the tasks of the run.
        package: Folder of the paper, dotted.
        experiment: Name of the function.
        params: Grid point.
        seeds: Seeds, one trial each.
        keys: Cache keys, one trial each.
        sabotage: Whether the method is broken on purpose.
        time_limit: Seconds.
        memory_limit: Megabytes.
        gpus: Accelerators that a cluster has to set aside.
        attempt: Fencing number; a result counts only under the present one.
        since: Artefacts made before this moment do not count; 0 for all.
    """

    number: int
    package: str
    experiment: str
    params: Mapping[str, Value]
    seeds: tuple[int, ...]
    keys: tuple[str, ...]
    sabotage: bool
    time_limit: float
    memory_limit: float
    gpus: float = 0.0
    attempt: int = 0
    since: float = 0.0


@dataclass(frozen=True)
class Spec:
    """What a user asks to be run.

    Attributes:
        entry: The paper.
        scale: One of the three scales.
        claims: Ids of the claims to judge; all if empty.
        overrides: Parameter values changed by hand.
        sabotage: Whether to break the method, to see that a verdict turns.
    """

    entry: Entry
    scale: Scale
    claims: tuple[str, ...] = ()
    overrides: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    sabotage: bool = False

    @property
    def options(self) -> str:
        """What sets the run apart from a regular one, as text; only regular runs count on the board."""
        custom = [f"{name}={','.join(map(str, values))}" for name, values in sorted(self.overrides.items())]
        return json.dumps({"custom": custom, "sabotage": self.sabotage})

    def judged(self) -> list[Claim]:
        """Return the claims that were asked for.

        Returns:
            Claims with a rule, in the order of the paper.
        """
        wanted = {self.entry.claim(key).id for key in self.claims}
        return [c for c in self.entry.claims if c.rule and (not wanted or c.id in wanted)]

    def experiments(self) -> dict[str, tuple[Experiment, Grid]]:
        """Return the experiments to run with their grids, changes by hand applied.

        Returns:
            Name to declaration and grid.

        Raises:
            BadInput: A change by hand that fits no experiment, or a value of the wrong type.
        """
        needed = {claim.on for claim in self.judged()}
        every = {n: e for n, e in self.entry.experiments().items() if not self.claims or n in needed}
        for name in self.overrides:
            if not any(name in e.parameters for e in every.values()):
                known = sorted({p for e in every.values() for p in e.parameters})
                raise BadInput(
                    f"--set {name}: {self.entry.paper.slug} has no such parameter; it has {', '.join(known)}"
                )
        chosen = {n: (e, self._changed(e.grids[self.scale])) for n, e in every.items() if self.scale in e.grids}
        for declared, grid in chosen.values():
            for point in grid.points():
                declared.check(point)
        return chosen

    def _changed(self, grid: Grid) -> Grid:
        return Grid([{n: self.overrides.get(n, values) for n, values in product.items()} for product in grid.products])


REGULAR = json.dumps({"custom": [], "sabotage": False})


def parse_override(spec: Spec, text: str) -> Spec:
    """Apply `name=value[,value]` as typed on the command line.

    Args:
        spec: What was asked so far.
        text: The change.

    Returns:
        The specification with the change.

    Raises:
        BadInput: No equals sign, an unknown parameter, or values of another type.
    """
    name, equals, given = text.partition("=")
    name = name.strip()
    if not equals or not given:
        raise BadInput(f"--set {text}: write name=value or name=value,value")
    kinds = {e.parameters[name] for e in spec.entry.experiments().values() if name in e.parameters}
    if not kinds:
        return replace(spec, overrides={**spec.overrides, name: (given,)})  # refused with the list of names later
    kind = kinds.pop()
    values = []
    for part in given.split(","):
        try:
            values.append({"true": True, "false": False}[part.strip().lower()] if kind is bool else kind(part.strip()))
        except (ValueError, KeyError) as error:
            raise BadInput(f"--set {text}: {part!r} is no {kind.__name__}; {name} takes {kind.__name__}") from error
    return replace(spec, overrides={**spec.overrides, name: tuple(values)})


@functools.cache
def environment_class() -> str:
    """Describe what else may change numbers: processor family and numeric libraries."""
    versions = [f"{name} {_version(name)}" for name in NUMERIC]
    return ", ".join([platform.machine(), f"Python {platform.python_version().rpartition('.')[0]}", *versions])


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def checksums(names: Sequence[str]) -> dict[str, str]:
    """Look up the checksums of data sets.

    Args:
        names: Data sets.

    Returns:
        Name to checksum.
    """
    from overparam import data

    return {name: data.checksum(name) for name in names}


def fingerprint(function: Callable[..., Any], names: Sequence[str]) -> str:
    """Hash the source that a function reaches, readers of its data sets included.

    Args:
        function: Experiment or artefact.
        names: Data sets.

    Returns:
        A hexadecimal digest.
    """
    return experiment_fingerprint(function, [f"overparam.data.{name.replace('-', '_')}" for name in names])


def tasks(spec: Spec) -> Iterator[Task]:
    """Plan the tasks of a run, in a fixed order.

    Args:
        spec: What is asked.

    Yields:
        Tasks with their cache keys.

    Raises:
        NotFound: Nothing of what was asked is part of this scale.
    """
    numbers = itertools.count()
    for name, (declared, grid) in spec.experiments().items():
        sources: dict[tuple[str, ...], tuple[str, dict[str, str]]] = {}
        broken = spec.sabotage and bool(declared.sabotage)
        for params in grid.points():
            names = declared.data_of(params)
            if names not in sources:
                sources[names] = fingerprint(declared.function, names), checksums(names)
            source, sums = sources[names]
            seeds = declared.seeds_at(spec.scale)
            for group in (seeds,) if declared.batched else tuple((s,) for s in seeds):
                common = [spec.entry.package, name, dict(params), sums, source, environment_class(), broken]
                keys = tuple(_key([*common, seed, group]) for seed in group)
                yield Task(
                    number=next(numbers),
                    package=spec.entry.package,
                    experiment=name,
                    params=params,
                    seeds=group,
                    keys=keys,
                    sabotage=broken,
                    time_limit=declared.time_limit,
                    memory_limit=declared.memory_limit,
                    gpus=declared.gpus,
                )
    if next(numbers) == 0:
        raise NotFound(f"{spec.entry.paper.slug} has nothing to run at {spec.scale} scale; try another scale")


def _key(identity: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def spec_hash(spec: Spec, keys: Iterator[str]) -> str:
    """Hash a run: which trials, judged by which rules.

    Args:
        spec: What is asked.
        keys: Keys of all trials in order.

    Returns:
        A hexadecimal digest.
    """
    rules = [[claim.id, claim.rule.hash] for claim in spec.judged() if claim.rule]
    digest = hashlib.sha256(json.dumps([spec.entry.paper.slug, spec.scale, rules, spec.options]).encode())
    for key in keys:
        digest.update(key.encode())
    return digest.hexdigest()
