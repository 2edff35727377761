"""`overparam tool`: methods applied to your own numbers, one module a tool, found by its name.

A module has either a function `command` or, where a tool has several commands, a Typer `app`.
"""

from __future__ import annotations

import importlib
import pkgutil

import typer

app = typer.Typer(help="Apply a method to your own numbers.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Apply a method to your own numbers."""


for _found in sorted(pkgutil.iter_modules(__path__), key=lambda found: found.name):
    _module = importlib.import_module(f"{__name__}.{_found.name}")
    _name = _found.name.replace("_", "-")
    if hasattr(_module, "app"):
        app.add_typer(_module.app, name=_name)
    else:
        app.command(_name)(_module.command)
