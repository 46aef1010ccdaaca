import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from amorph2d.report.encode import data_uri
from amorph2d.report.panels import compare, join, micrograph_panels, pooled_panel
from amorph2d.report.statistics import find_row


@pytest.fixture(scope="module")
def views(make_view):
    return [make_view(f"sheet_{i}", shape=(100, 120), disorder=0.08 * i, seed=i) for i in (1, 2)]


@pytest.fixture(scope="module")
def summary(views, summary_of):
    return summary_of(views)


def panels_of(views, summary, **options):
    shapes = [view.image.shape for view in views]
    options = {"shapes": shapes, "level": "90 %", **options}
    return micrograph_panels(views, [view.stem for view in views], summary, {}, **options)


def bars(chart):
    tree = ElementTree.fromstring(str(chart.drawing))
    return [item for item in tree.iter() if item.get("class") == "bar"], str(chart.drawing)


def count(chart):
    return sum(int(bar[0].text.rsplit(": ")[1].replace("\u202f", "")) for bar in bars(chart)[0])


def test_each_panel_has_its_own_bars_and_the_pooled_outline(views, summary):
    one, two = panels_of(views, summary)
    pooled = pooled_panel(views, find_row(summary, "pooled"), level="95 %")
    assert [chart.title for chart in one.charts] == [
        "Ring sizes",
        "Bond lengths",
        "Bond angles",
        "Pair distribution",
    ]
    assert count(one.charts[1]) + count(two.charts[1]) == count(pooled.charts[1])
    assert 'class="outline"' in one.charts[1].drawing
    assert 'class="outline"' in one.charts[3].drawing
    assert 'class="outline"' not in pooled.charts[1].drawing
    assert one.charts[0].caption == "Complete rings. Whiskers: 90 % intervals."
    assert "Thin line: all micrographs" in one.charts[1].caption
    assert "Thin line" not in pooled.charts[1].caption


def test_outlines_are_the_same_in_every_panel(views, summary):
    widths = []
    for panel in panels_of(views, summary):
        found, _ = bars(panel.charts[1])
        widths.append((len(found), found[0][0].text.split(" Å")[0]))
    assert widths[0] == widths[1]


def test_a_single_micrograph_is_not_pooled(views, summary):
    (panel,) = panels_of(views[:1], summary)
    assert 'class="outline"' not in panel.charts[1].drawing
    assert all(row.pooled is None for rows in panel.statistics.values() for row in rows)
    assert pooled_panel(views[:1], None, level="95 %") is None
    assert compare(views[:1], ["a"], summary) is None
    assert panels_of([], summary) == []


def test_without_a_summary_rings_are_counted_from_the_table(views):
    (panel,) = panels_of(views[:1], pd.DataFrame())
    complete = views[0].rings.loc[views[0].rings["complete"], "size"]
    assert f"6-membered: {100 * (complete == 6).mean():.2f}"[:15] in panel.charts[0].drawing
    assert panel.statistics == {}


def test_the_note_tells_the_field_and_a_coarser_image(views, summary):
    (panel,) = panels_of(views[:1], summary)
    assert panel.note == "120 × 100 px, 2.40 × 2.00 nm²"
    (coarse,) = panels_of(views[:1], summary, shapes=[(50, 60)])
    assert coarse.note.endswith("shown with 60 × 50 px of 0.400 Å")


def test_only_charts_of_one_micrograph_point_at_the_map(views, summary):
    (panel,) = panels_of(views[:1], summary)
    assert [re.findall('data-link="([a-z]+)"', str(chart.drawing)) for chart in panel.charts] == [
        ["size"],
        ["length"],
        ["angle"],
        [],
    ]
    pooled = pooled_panel(views, find_row(summary, "pooled"), level="95 %")
    assert not any("data-link" in chart.drawing for chart in pooled.charts)


def test_literature_stands_behind_the_rings(views, summary):
    literature = pd.DataFrame({"size": [6, 30], "low": 0.3, "high": 0.7, "source": ["<models>", "other"]})
    (panel,) = panels_of(views[:1], summary, literature=literature)
    rings = panel.charts[0]
    assert rings.drawing.count('class="literature"') == 1
    assert "Literature, 6-membered: 30.0 – 70.0 % (&lt;models&gt;)" in rings.drawing
    assert rings.caption.endswith("Grey boxes: <models>; other.")


def test_pictures_are_embedded(views, summary):
    shown = replace(
        views[0],
        twin=b"png",
        twin_caption="as simulated",
        film=b"gif",
        film_type="image/webp",
        figures=[("S(q)", '<?xml version="1.0"?><svg><script/></svg>')],
        warnings=["tilted"],
    )
    (panel,) = panels_of([shown], summary)
    assert panel.twin == "data:image/png;base64,cG5n"
    assert panel.film == "data:image/webp;base64,Z2lm"
    assert panel.figures == [("S(q)", data_uri(b"<svg><script/></svg>", "image/svg+xml"))]
    assert (panel.warnings, panel.twin_caption) == (["tilted"], "as simulated")


def test_scores_have_names(views, summary):
    (panel,) = panels_of(views[:1], summary)
    assert panel.scores == [("Atoms, F1", "0.9973"), ("Atoms, RMSE [Å]", "0.03140")]


def test_comparison_has_a_line_each_and_one_for_all(views, summary):
    comparison = compare(views, ["first", "<second>"], summary)
    assert [line[:2] for line in comparison.lines] == [
        ("1", "first"),
        ("2", "<second>"),
        ("all", "All, pooled"),
    ]
    assert len(comparison.lines[0][2]) == len(comparison.statistics) == 8
    assert comparison.charts[0].title == "Bond length [Å]"
    assert "&lt;second&gt;" in comparison.charts[0].drawing
    assert all("<second>" not in chart.drawing for chart in comparison.charts)


def test_comparison_without_a_pooled_row_or_any(views, summary):
    comparison = compare(views, ["a", "b"], summary[summary["micrograph"] != "pooled"])
    assert [line[0] for line in comparison.lines] == ["1", "2"]
    assert compare(views, ["a", "b"], pd.DataFrame()).charts == []


def test_join():
    np.testing.assert_array_equal(join([np.array([1.0]), np.array([2.0, 3.0])]), [1, 2, 3])
    assert join([]).shape == (0,)
