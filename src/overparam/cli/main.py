"""Entry point: gathers the commands and turns errors into one line and an exit code.

Exit codes: 0 done, 1 a trial failed, a verdict is missing or something is unavailable, 2 usage, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

import overparam
from overparam.cli import digest, doctor, examine, export, fetch, new, read, serve, tool, work
from overparam.cli import run as running
from overparam.errors import BadInput, NotFound, OverparamError

app = typer.Typer(
    name="overparam",
    help="Daily Papers that you can run: claims of papers on over-parameterised learning, tried and judged.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("list")(read.list_papers)
app.command("run")(running.run_paper)
app.command("show")(read.show)
app.command("report")(read.report)
app.command("board")(read.board)
app.command("examine")(examine.examine_model)
app.command("new")(new.new_paper)
app.add_typer(tool.app, name="tool")
app.command("serve")(serve.serve)
app.command("fetch")(fetch.fetch_papers)
app.command("digest")(digest.send_digest)
app.command("work")(work.work)
app.command("export")(export.export_data)
app.command("doctor")(doctor.doctor)

# Top-level modules of the extra `site`: without them a command ends in one line instead of a traceback
OF_SITE = {
    "aiosmtplib",
    "cryptography",
    "defusedxml",
    "fastapi",
    "feedparser",
    "httpx2",
    "itsdangerous",
    "latex2mathml",
    "multipart",
    "nh3",
    "prometheus_client",
    "sse_starlette",
    "starlette",
    "uvicorn",
}


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"overparam {overparam.__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Show where an error arose, not only what it was.")
    ] = False,
) -> None:
    """Daily Papers that you can run: claims of papers on over-parameterised learning, tried and judged."""


def run() -> None:
    """Run the command line and exit."""
    if "--traceback" in sys.argv:
        app()
    try:
        app()
    except OverparamError as error:
        print(f"overparam: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, BadInput | NotFound) else 1)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in OF_SITE:
            raise
        print(f'overparam: this needs {error.name}; pip install "overparam[site]"', file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:  # the reader of a pipe, such as head, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
