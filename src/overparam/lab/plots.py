"""The house style of figures, and their way into a page as SVG."""

from __future__ import annotations

import contextlib
import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from overparam.lab.experiment import Drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLOT_COLOURS = ("#1583d8", "#b73c0a", "#117d72", "#861791", "#b0882c", "#3f434d")
INK, INK_2, INK_3, LINE = "#15181d", "#474e59", "#626a76", "#dcdfe5"
_VARIABLES = {
    **{colour: f"--plot-{i}" for i, colour in enumerate(PLOT_COLOURS, 1)},
    INK: "--ink",
    INK_2: "--ink-2",
    INK_3: "--ink-3",
    LINE: "--line",
    "#ffffff": "--bg",
}
_RC: dict[str, Any] = {
    "figure.figsize": (5.0, 3.3),
    "figure.dpi": 72,
    "figure.constrained_layout.use": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "overparam",
    "savefig.transparent": True,
    "font.family": "sans-serif",
    "font.size": 12,
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelsize": 12,
    "text.color": INK,
    "axes.titlecolor": INK,
    "axes.labelcolor": INK_2,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.edgecolor": INK_3,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "xtick.major.size": 4,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "xtick.color": INK_3,
    "ytick.color": INK_3,
    "lines.linewidth": 2.0,
    "lines.markersize": 5,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
}
_SVG = "http://www.w3.org/2000/svg"
_LINK = "http://www.w3.org/1999/xlink"


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draw in the house style inside.

    Yields:
        Nothing.
    """
    import matplotlib as mpl
    from cycler import cycler

    settings: Any = {**_RC, "axes.prop_cycle": cycler(color=PLOT_COLOURS)}
    with mpl.rc_context(settings):
        yield


def label_end(axes: Axes, x: float, y: float, text: str, *, subject: bool = False) -> None:
    """Write the name of a line at its end, in ink.

    Args:
        axes: Where.
        x: Last point.
        y: Last point.
        text: Name.
        subject: Whether this is what the figure is about; then bold.
    """
    axes.annotate(
        text,
        (x, y),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        color=INK,
        fontweight="bold" if subject else "normal",
        annotation_clip=False,
    )


def label_ends(axes: Axes, x: float, ends: Mapping[str, float], *, subject: str = "") -> None:
    """Write the names of several lines at their ends, moved apart where they would overlap.

    Args:
        axes: Where; call it when the limits of y are final.
        x: Where the lines end.
        ends: Name to last value, on the scale of the axis.
        subject: The name of what the figure is about; it is bold.
    """
    to_axes, to_data = axes.transScale.transform, axes.transScale.inverted().transform
    low, high = (to_axes((1, y))[1] for y in axes.get_ylim())
    least = (high - low) * 0.078
    order = sorted(ends, key=lambda name: ends[name])
    places = [float(to_axes((1, ends[name]))[1]) for name in order]
    for _ in range(100):
        for i in range(len(places) - 1):
            overlap = least - (places[i + 1] - places[i])
            if overlap > 0:
                places[i] -= overlap / 2
                places[i + 1] += overlap / 2
    lift = max(0.0, low + least / 2 - min(places)) if places else 0.0
    for name, y in zip(order, places, strict=True):
        label_end(axes, x, float(to_data((1, y + lift))[1]), name, subject=name == subject)


def room_right(axes: Axes, share: float = 0.42) -> None:
    """Keep space for labels on the right of the last point.

    Args:
        axes: Where, with a linear or logarithmic x axis.
        share: Part of the present width to add.
    """
    low, high = axes.get_xlim()
    if axes.get_xscale() == "log":
        axes.set_xlim(low, high * (high / low) ** share)
    else:
        axes.set_xlim(low, high + share * (high - low))


def lines_with_band(axes: Axes, x: Sequence[float], seeds: Any, *, colour: str) -> None:
    """Draw each seed thinly, the 95 % interval of their mean as a band, and the mean with dots.

    Args:
        axes: Where.
        x: (p,).
        seeds: (n, p), one row a seed.
        colour: One of the six hues.
    """
    import numpy as np

    from overparam.stats import t_interval

    rows = np.asarray(seeds, dtype=float)
    if len(rows) > 1:
        ends = [t_interval(column) for column in rows.T]
        axes.fill_between(x, [e.low for e in ends], [e.high for e in ends], color=colour, alpha=0.16, linewidth=0)
        axes.plot(x, rows.T, color=colour, linewidth=0.7, alpha=0.45)
    axes.plot(x, rows.mean(0), "o-", color=colour)


def unit_on_top(axes: Axes, unit: str) -> None:
    """Put the unit on the top tick of the y axis.

    Args:
        axes: Where; call it when the limits are final.
        unit: Such as `%`.
    """
    low, high = axes.get_ylim()
    ticks = [t for t in axes.get_yticks() if low <= t <= high]
    axes.set_yticks(ticks, [f"{t:g}" for t in ticks[:-1]] + [f"{ticks[-1]:g} {unit}"] if ticks else [])


def to_svg(drawing: Drawing, *, prefix: str) -> str:
    """Turn a figure into SVG that follows the page's theme and has the same bytes every time.

    Args:
        drawing: The figure with its words.
        prefix: Goes before every id, so that several figures fit on one page.

    Returns:
        One `<svg>` element without styles, with title and description.
    """
    buffer = io.BytesIO()
    with style():
        drawing.figure.savefig(buffer, format="svg", metadata={"Date": None})
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _LINK)
    root = ET.fromstring(buffer.getvalue())
    _drop(root, "metadata")
    for defs in root.findall(f"{{{_SVG}}}defs"):
        _drop(defs, "style")
    for parent in root.iter():
        for child in list(parent):
            if child.get("id") == "patch_1":  # the background
                parent.remove(child)
    for element in root.iter():
        _plain(element, prefix)
    words = drawing.figure.axes[0].get_title(loc="left") if drawing.figure.axes else ""
    for position, (tag, text) in enumerate((("title", words), ("desc", drawing.description or drawing.caption))):
        element = ET.Element(f"{{{_SVG}}}{tag}", {"id": f"{prefix}-{tag}"})
        element.text = text
        root.insert(position, element)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-labelledby", f"{prefix}-title {prefix}-desc")
    text = ET.tostring(root, encoding="unicode")
    text = text.replace("xlink:href", "href").replace(f' xmlns:xlink="{_LINK}"', "")
    return re.sub(r"\s*\n\s*", " ", text)


def _drop(parent: ET.Element, tag: str) -> None:
    for child in parent.findall(f"{{{_SVG}}}{tag}"):
        parent.remove(child)


def _plain(element: ET.Element, prefix: str) -> None:
    """Turn a style into attributes, colours into variables, ids into ours, and long decimals into two."""
    for entry in element.attrib.pop("style", "").split(";"):
        name, _, value = entry.partition(":")
        name, value = name.strip(), value.strip()
        if name == "font":  # such as: bold 13px sans-serif
            for word in value.split():
                if word.endswith("px"):
                    element.set("font-size", word)
                elif word in ("bold", "700"):
                    element.set("font-weight", "700")
        elif name and name != "font-family":
            element.set(name, value)
    for name, value in list(element.attrib.items()):
        if name == "id":
            new = f"{prefix}-{value}"
        elif name.endswith("href") and value.startswith("#"):
            new = f"#{prefix}-{value[1:]}"
        else:
            new = value.replace("url(#", f"url(#{prefix}-")
            new = _VARIABLES.get(new.lower(), new) if new.startswith("#") else new
            new = f"var({new}, {value})" if new.startswith("--") else new
        if name in ("d", "x", "y", "width", "height", "transform", "points", "viewBox", "cx", "cy"):
            new = re.sub(r"-?\d+\.\d{3,}", lambda m: f"{float(m[0]):.2f}", new)
        element.set(name, new)
