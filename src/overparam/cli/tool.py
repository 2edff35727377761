"""`overparam tool`: methods applied to your own numbers."""

import typer

app = typer.Typer(help="Apply a method to your own numbers.", no_args_is_help=True)
