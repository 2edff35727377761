"""The examination as one HTML file that needs nothing else."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from overparam.lab.provenance import provenance
from overparam.lab.report import figure_context, look
from overparam.lab.wording import THIN, count, day, duration

if TYPE_CHECKING:
    from overparam.examine.examination import Examination

_STATES = {
    "done": ("", ""),
    "partly": ("stale", "Cut short"),
    "skipped": ("not-run", "Skipped"),
    "failed": ("failed", "Failed"),
}


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("overparam.examine"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("examination.html.jinja")


def render(found: Examination, scores: str) -> str:
    """Render the report.

    Args:
        found: What was found.
        scores: Name of the file with all scores, beside the report.

    Returns:
        A complete HTML page.
    """
    made = provenance()
    now = datetime.now(UTC).isoformat()
    return _template().render(
        found=found,
        sections=[{"of": s, "state": _STATES[s.state], "figures": _figures(s)} for s in found.sections],
        css=Markup(look("tokens.css") + look("page.css") + look("report.css") + look("cards.css")),
        sprite=Markup(look("verdicts.svg").replace("<svg ", '<svg class="sprite" aria-hidden="true" ', 1)),
        logo=Markup(look("logo.svg")),
        moment=f"{day(now)}, {now[11:16]} UTC",
        scores=scores,
        facts=[
            ("overparam", made["version"]),
            ("libraries", ", ".join([f"Python {made['python']}", *(f"{n} {v}" for n, v in made["libraries"].items())])),
            ("machine", f"{made['machine']}, {count(made['cores'], 'core')}"),
            ("seed", str(found.seed)),
        ],
        duration=duration,
        count=count,
        thin=THIN,
    )


def _figures(section: Any) -> list[dict[str, Any]]:
    return [figure_context(name, drawing) for name, drawing in section.figures]
