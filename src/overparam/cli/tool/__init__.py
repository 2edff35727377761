"""`overparam tool`: methods applied to your own numbers, one module a tool, found by its name.

A module has either a function `command` or, where a tool has several commands, a Typer `app`. It is loaded when it is
asked for, so that other commands start without it.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import typer
from typer.core import TyperGroup


class _Tools(TyperGroup):
    """Finds tools by the names of their modules."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(found.name.replace("_", "-") for found in pkgutil.iter_modules(__path__))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"{__name__}.{cmd_name.replace('-', '_')}")
        tool = getattr(module, "app", None)
        if tool is None:
            tool = typer.Typer(add_completion=False)
            tool.command(cmd_name)(module.command)
        tool.rich_markup_mode = None  # plain help, as of all commands
        command = typer.main.get_command(tool)
        command.name = cmd_name
        return command


app = typer.Typer(cls=_Tools, help="Apply a method to your own numbers.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Apply a method to your own numbers."""
