import importlib
import sys
import textwrap

import pytest

from overparam.lab.closure import experiment_fingerprint, function_fingerprint

EXPERIMENTS = """
    '''Module docstring.'''
    from .helper import double
    from . import other
    import overparam.stats

    LIMIT = 3
    UNUSED = 4

    def inner(x):
        '''Docstring.'''
        return double(x) + LIMIT

    @print_nothing_decorator
    def first(x: int) -> int:
        return inner(x)

    def second(x):
        return other.triple(x)

    def figure():
        return UNUSED
""".replace("    @print_nothing_decorator\n", "")
HELPER = "def double(x):\n    return 2 * x\n"
OTHER = "def triple(x):\n    return 3 * x\n"


@pytest.fixture
def pack(tmp_path, monkeypatch):
    """A package whose source can be edited; returns a function that edits and hashes `first`."""
    name = f"pack_{tmp_path.name.replace('-', '_')}"
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))

    def edit(experiments=EXPERIMENTS, helper=HELPER, other=OTHER, which="first", extra=()):
        for file, text in (
            ("__init__", ""),
            ("experiments", textwrap.dedent(experiments)),
            ("helper", helper),
            ("other", other),
        ):
            (folder / f"{file}.py").write_text(text)
        for module in [m for m in sys.modules if m.startswith(name)]:
            del sys.modules[module]
        importlib.invalidate_caches()
        from overparam.lab import closure

        closure._parse.cache_clear()
        closure._digest_of.cache_clear()
        return experiment_fingerprint(getattr(importlib.import_module(f"{name}.experiments"), which), extra)

    return edit


def test_edits_that_cannot_matter_cost_nothing(pack):
    before = pack()
    assert pack() == before
    assert (
        pack(EXPERIMENTS.replace("Module docstring", "Other words").replace("'''Docstring.'''", "'''New.'''")) == before
    )
    assert pack(EXPERIMENTS.replace("return UNUSED", "return UNUSED + 1")) == before  # a figure
    assert pack(EXPERIMENTS.replace("UNUSED = 4", "UNUSED = 5")) == before
    assert pack(EXPERIMENTS.replace("other.triple(x)", "other.triple(x) + 1")) == before  # another experiment
    assert pack(other=OTHER.replace("3", "4")) == before
    assert pack(EXPERIMENTS + "\n\n    # a comment\n") == before
    assert pack(helper="# why\n\n" + HELPER) == before


def test_relevant_edits_are_never_missed(pack):
    before = pack()
    assert pack(EXPERIMENTS.replace("LIMIT = 3", "LIMIT = 4")) != before  # a constant reached through a function
    assert pack(EXPERIMENTS.replace("+ LIMIT", "- LIMIT")) != before
    assert pack(EXPERIMENTS.replace("return inner(x)", "return inner(x) + 1")) != before
    assert pack(helper=HELPER.replace("2", "3")) != before  # an imported module
    assert pack(helper="from .other import triple\n\n\ndef double(x):\n    return triple(x)\n") != before
    deep = "from .other import triple\n\n\ndef double(x):\n    return triple(x)\n"
    assert pack(helper=deep) != pack(helper=deep, other=OTHER.replace("3", "4"))  # a module behind a module
    local = EXPERIMENTS.replace("return inner(x)", "from .other import triple\n        return inner(triple(x))")
    assert pack(local) != pack(local, other=OTHER.replace("3", "4"))  # an import inside the function
    assert pack(extra=["overparam.data.digits"]) != before  # a reader named by the plan


def test_the_lab_itself_does_not_count_but_methods_do():
    from overparam.lab import closure
    from overparam.lab.registry import find

    find("step-law").experiments()
    module = importlib.import_module("overparam.papers.step_law.experiments")
    nodes = closure._reached(closure._tree(closure._path(module.__name__)), "laws")
    names = {n for node in nodes for n in closure._imports(node, module.__name__)}
    reached = closure._closure(names, {"overparam"})
    assert "overparam.methods.scaling.basins" in reached
    assert "overparam.errors" in reached
    assert not [name for name in reached if name.startswith(("overparam.lab", "overparam.ledger", "overparam.cli"))]


def test_a_function_alone_is_hashed_by_its_body():
    def one(x):
        return x + 1

    def two(x):
        return x + 2

    assert function_fingerprint(one) == function_fingerprint(one) != function_fingerprint(two)
