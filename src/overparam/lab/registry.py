"""Finds papers: the folders of `overparam.papers` and the entry points `overparam.papers` of other packages."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

from overparam.errors import BadInput, NotFound
from overparam.lab.model import Claim, Paper

if TYPE_CHECKING:
    from overparam.lab.experiment import Draw, Experiment

GROUP = "overparam.papers"


@dataclass(frozen=True)
class Entry:
    """A paper with its claims, and the way to its experiments.

    Attributes:
        paper: Facts.
        claims: Claims in the order of the paper; empty until its turn comes.
        package: Dotted name of its folder.
    """

    paper: Paper
    claims: tuple[Claim, ...]
    package: str

    @property
    def runnable(self) -> bool:
        """Whether any claim can be judged."""
        return any(claim.rule for claim in self.claims)

    def module(self) -> ModuleType:
        """Import the experiments; this may load torch.

        Returns:
            The module `experiments`.
        """
        return importlib.import_module(f"{self.package}.experiments")

    def experiments(self) -> dict[str, Experiment]:
        """List the experiments by name.

        Returns:
            Name to declaration.

        Raises:
            BadInput: A claim is fed by an experiment that does not exist.
        """
        from overparam.lab.experiment import experiments_of

        found = experiments_of(self.module())
        for claim in self.claims:
            if claim.on and claim.on not in found:
                raise BadInput(f"{self.paper.slug} {claim.id}: no experiment {claim.on!r}; there is {', '.join(found)}")
        return found

    def figures(self) -> list[tuple[str, Draw]]:
        """List the figures with the name of their experiment.

        Returns:
            Pairs of experiment and drawing function.
        """
        from overparam.lab.experiment import figures_of

        return figures_of(self.module())

    def claim(self, key: str) -> Claim:
        """Look a claim up.

        Args:
            key: Its id, in any case.

        Returns:
            The claim.

        Raises:
            NotFound: No claim has that id.
        """
        for claim in self.claims:
            if claim.id.lower() == key.lower():
                return claim
        known = ", ".join(c.id for c in self.claims) or "none yet"
        raise NotFound(f"{self.paper.slug} has no claim {key!r}; it has {known}")


@functools.lru_cache(maxsize=1)
def papers() -> Mapping[str, Entry]:
    """Find all papers.

    Returns:
        Slug to entry, in the order of the listing.

    Raises:
        BadInput: Two papers share a slug, or a folder breaks the conventions. Errors of a module surface as they are.
    """
    root = importlib.import_module("overparam.papers")
    packages = [f"overparam.papers.{m.name}" for m in pkgutil.iter_modules(root.__path__) if m.ispkg]
    packages += [point.value for point in importlib.metadata.entry_points(group=GROUP)]
    found: dict[str, Entry] = {}
    for package in packages:
        module = importlib.import_module(f"{package}.claims")
        paper, claims = getattr(module, "PAPER", None), getattr(module, "CLAIMS", None)
        if not isinstance(paper, Paper) or not isinstance(claims, tuple):
            raise BadInput(f"{package}.claims must define PAPER and a tuple CLAIMS")
        if paper.slug in found:
            raise BadInput(f"slug {paper.slug!r} is used by {found[paper.slug].package} and {package}; rename one")
        ids = [c.id for c in claims]
        if len(set(ids)) < len(ids):
            raise BadInput(f"{package}.claims: the ids {ids} are not unique")
        found[paper.slug] = Entry(paper, claims, package)
    return dict(sorted(found.items(), key=lambda item: (item[1].paper.order or 10_000, item[0])))


def find(slug: str) -> Entry:
    """Look a paper up.

    Args:
        slug: Its slug.

    Returns:
        The entry.

    Raises:
        NotFound: No paper has that slug; the message names the nearest.
    """
    import difflib

    every = papers()
    if slug in every:
        return every[slug]
    near = difflib.get_close_matches(slug, every, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]}?" if near else "; `overparam list` shows all"
    raise NotFound(f"no paper is called {slug!r}{hint}")
