import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib.figure import Figure

from overparam.lab import Drawing
from overparam.lab.plots import (
    PLOT_COLOURS,
    label_end,
    label_ends,
    lines_with_band,
    room_right,
    style,
    to_svg,
    unit_on_top,
)


def drawing():
    with style():
        figure = Figure()
        axes = figure.add_subplot(title="Test accuracy <by> score")
        lines_with_band(axes, [1, 2, 3], np.array([[90, 91, 92], [90, 92, 93], [91, 91, 94]]), colour=PLOT_COLOURS[0])
        label_end(axes, 3, 93, "EL2N & co", subject=True)
        unit_on_top(axes, "%")
        return Drawing(figure, caption="It rises.", description="From 90 to 93.")


def test_the_same_figure_gives_the_same_bytes():
    assert to_svg(drawing(), prefix="a") == to_svg(drawing(), prefix="a")


def test_svg_follows_the_page():
    text = to_svg(drawing(), prefix="f1")
    root = ET.fromstring(text)
    assert "style=" not in text
    assert "<style" not in text
    assert "metadata" not in text
    assert "font-family" not in text
    assert f"var(--plot-1, {PLOT_COLOURS[0]})" in text
    assert "width" not in root.attrib
    assert root.attrib["viewBox"].startswith("0 0 360")
    assert root.attrib["role"] == "img"
    names = {e.tag.rpartition("}")[2]: e.text for e in root[:2]}
    assert names == {"title": "Test accuracy <by> score", "desc": "From 90 to 93."}
    assert not re.search(r'\sd="[^"]*\d\.\d{3,}', text)


def test_ids_are_prefixed_and_references_follow():
    text = to_svg(drawing(), prefix="f1")
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert all(i.startswith("f1-") for i in ids)
    used = set(re.findall(r'href="#([^"]+)"', text)) | set(re.findall(r"url\(#([^)]+)\)", text))
    assert used
    assert used <= set(ids)


def test_the_unit_sits_on_the_top_tick():
    with style():
        axes = Figure().add_subplot()
        axes.set_ylim(0, 100)
        unit_on_top(axes, "%")
        labels = [t.get_text() for t in axes.get_yticklabels()]
    assert labels[-1] == "100 %"
    assert all("%" not in text for text in labels[:-1])


def test_the_style_stays_inside():
    import matplotlib as mpl

    before = mpl.rcParams["axes.spines.top"]
    with style():
        assert not mpl.rcParams["axes.spines.top"]
    assert mpl.rcParams["axes.spines.top"] == before


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_labels_at_line_ends_keep_apart_in_the_order_of_the_lines(scale):
    figure = Figure(figsize=(5, 3.3), dpi=72)
    axes = figure.add_subplot(yscale=scale, xlim=(1, 10), ylim=(1, 100))
    room_right(axes)
    assert axes.get_xlim() == (1, pytest.approx(10 + 0.42 * 9))
    label_ends(axes, 10, {"top": 50.0, "same": 10.0, "close": 10.1}, subject="top")
    figure.canvas.draw()
    boxes = {t.get_text(): t.get_window_extent() for t in axes.texts}
    assert boxes["same"].y1 <= boxes["close"].y0 + 1
    assert boxes["close"].y1 < boxes["top"].y0
    assert [t.get_fontweight() for t in axes.texts if t.get_text() == "top"] == ["bold"]


def test_room_on_a_logarithmic_axis_is_a_share_of_its_decades():
    axes = Figure().add_subplot(xscale="log", xlim=(1, 100))
    room_right(axes, 0.5)
    assert axes.get_xlim() == (1, pytest.approx(1000))
