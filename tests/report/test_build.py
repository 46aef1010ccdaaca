import json
import re
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from amorph2d import __version__
from amorph2d.report import build
from amorph2d.report.build import build_report
from amorph2d.report.rounding import format_interval

PARAMETERS = {"statistics": {"bonds": {"limits": [0.5, 1.9]}, "intervals": {"level": 0.9, "block": 20.0}}}
EVIL = "<b>&\"x'.tif"


class Page(HTMLParser):
    """Elements, and the text that a reader sees."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.visible, self._silent = [], "", 0
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._silent += tag in ("script", "style")

    def handle_endtag(self, tag):
        self._silent -= tag in ("script", "style")

    def handle_data(self, data):
        if not self._silent:
            self.visible += data

    def of(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def views(make_view):
    return [make_view(f"sheet_{i}", shape=(100, 120), disorder=0.08 * i, seed=i) for i in (1, 2)]


@pytest.fixture(scope="module")
def text(views, summary_of, calibration_of):
    failed = pd.DataFrame(
        [{"file": EVIL, "micrograph": EVIL, "status": "not analysed", "reason": "a <i>&reason"}]
    )
    calibration = pd.concat([calibration_of(views), failed], ignore_index=True)
    calibration.loc[1, "domain_reason"] = "dose is too low: 12 e⁻/Å²"
    date = datetime(2024, 5, 17, 9, 30)
    return build_report(
        views, summary_of(views), calibration, parameters=PARAMETERS, title="Sheets <of> carbon", date=date
    )


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_the_page_loads_nothing(text, page):
    for _, attributes in page.elements:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (name, attributes)
    style = re.search(r"<style>(.*?)</style>", text, re.S)[1]
    assert "url(" not in style
    assert "@import" not in style
    assert "http://" not in text
    assert "https://" not in text
    for call in ("fetch(", "XMLHttpRequest", "import(", "WebSocket", "sendBeacon"):
        assert call not in text
    policy = next(item["content"] for item in page.of("meta") if "http-equiv" in item)
    assert policy.startswith("default-src 'none'")


def test_names_and_reasons_are_escaped(text, page):
    assert "&lt;b&gt;&amp;&#34;x&#39;.tif" in text
    assert "<b>&" not in text
    assert "<i>&reason" not in text
    assert "Sheets <of>" not in text
    for words in (EVIL, "a <i>&reason", "Sheets <of> carbon"):
        assert words in page.visible
    assert not page.of("i")


def test_a_stem_cannot_end_its_script(views, summary_of, calibration_of):
    stem = "</script><script>alert(1)//"
    evil = [replace(views[0], stem=stem), views[1]]
    text = build_report(evil, summary_of(evil), calibration_of(evil), parameters={})
    scripts = [item for tag, item in Page(text).elements if tag == "script"]
    assert [item.get("id") for item in scripts] == ["data-0", "settings", None, "data-1", "m0-o0", "m1-o0"]
    assert json.loads(data_of(text, "data-0"))["label"] == stem


def data_of(text, name):
    return re.search(f'id="{name}">(.*?)</script>', text, re.S)[1]


def test_head_says_what_the_page_is(page):
    for words in (
        f"amorph2d {__version__}",
        "17 May 2024, 09:30",
        "2 micrographs analysed",
        "1 file not analysed",
    ):
        assert words in page.visible
    assert "1 with warnings" in page.visible


def test_numbers_of_the_summary_are_shown(page, views, summary_of):
    summary = summary_of(views).set_index("micrograph")
    for row in ("sheet_1", "sheet_2", "pooled"):
        assert f"{summary.loc[row, 'n_bonds']:,.0f}".replace(",", "\u202f") in page.visible
        limits = (summary.loc[row, f"bond_mean{end}"] for end in ("", "_low", "_high"))
        value, interval = format_interval(*limits)
        assert value in page.visible
        assert interval in page.visible


def test_calibration_and_warnings_are_shown(page):
    for words in ("sheet_1.dm4", "calibration in the file", "12\u202f346", "dark atoms", "amorph2d-sites/1"):
        assert words in page.visible
    assert "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" in page.visible
    assert "dose is too low: 12 e⁻/Å²" in page.visible
    assert "Atoms, F1" in page.visible


def test_methods_have_the_parameters(page):
    assert "0.5 to 1.9 Å" in page.visible
    assert "statistics.bonds.limits" in page.visible
    assert "Small numbers: 90 % intervals" in page.visible
    assert "95 %" not in page.visible
    assert "0.5, 1.9" in page.visible
    assert "ACS Nano 16, 20488" in page.visible


def test_all_charts_are_there(page):
    charts = [item["aria-label"] for item in page.of("svg")]
    for what in ("Ring sizes", "Bond lengths", "Bond angles", "Pair distribution"):
        for whose in ("sheet_1", "sheet_2", "all 2 micrographs"):
            assert f"{what}, {whose}" in charts
    assert "Bond length by micrograph" in charts


def test_only_the_first_micrograph_is_visible_without_a_script(page):
    shown = [
        item["data-micrograph"]
        for item in page.of("div")
        if "data-micrograph" in item and "hidden" not in item
    ]
    assert set(shown) == {"0"}
    charts = [item["data-chart"] for item in page.of("div") if "data-chart" in item and "hidden" not in item]
    assert charts == ["0"]


def test_every_control_has_a_name(page):
    labels = {item.get("for") for item in page.of("label")}
    for control in page.of("select"):
        assert control["id"] in labels or control["id"].startswith("colour-")  # which stand inside theirs
    for button in page.of("button"):
        assert button.get("aria-label") or button.get("id") in ("save", "choose", "clear", "copy-citation")
    ids = [item["id"] for _, item in page.elements if "id" in item]
    assert len(ids) == len(set(ids))


def test_a_single_micrograph_has_no_pooled_parts(views, summary_of, calibration_of):
    page = Page(build_report(views[:1], summary_of(views[:1]), calibration_of(views[:1]), parameters={}))
    assert "All, pooled" not in page.visible
    assert "1 micrograph analysed" in page.visible
    assert "Mean bond length" in page.visible
    assert not [item for item in page.of("input") if item.get("name") == "scope"]


@pytest.mark.parametrize("summary", [pd.DataFrame(), None])
def test_without_any_micrograph_the_report_says_so(summary, views, summary_of):
    failed = pd.DataFrame(
        [{"file": EVIL, "micrograph": "x", "status": "not analysed", "reason": "no sampling"}]
    )
    empty = summary_of(views).iloc[:0] if summary is None else summary
    page = Page(build_report([], empty, failed, parameters=PARAMETERS))
    assert "No micrograph was analysed" in page.visible
    assert "no sampling" in page.visible
    assert not page.of("canvas")
    nothing = Page(build_report([], empty, pd.DataFrame(), parameters={}))
    assert "The folder held no micrograph that could be read" in nothing.visible


def test_a_micrograph_without_sites_has_a_page(views, summary_of, calibration_of):
    bare = replace(
        views[0],
        **{name: getattr(views[0], name).iloc[:0] for name in ("sites", "bonds", "angles", "rings", "pdf")},
        ring_members=np.empty(0, dtype=int),
        ring_offsets=np.zeros(1, dtype=int),
    )
    alone = Page(build_report([bare], pd.DataFrame(), calibration_of([bare]), parameters={}))
    assert "Bond lengths, sheet_1: nothing to show." in alone.visible
    both = [bare, views[1]]
    assert Page(build_report(both, summary_of(both[1:]), calibration_of(both), parameters={})).of("canvas")


def test_frames_of_a_series_have_their_own_names(make_view, summary_of, calibration_of):
    frames = [make_view("series", shape=(80, 90), disorder=0.1, seed=i, frame=i) for i in range(2)]
    text = build_report(frames, summary_of(frames), calibration_of(frames[:1]), parameters={})
    assert [json.loads(data_of(text, f"data-{i}"))["label"] for i in range(2)] == [
        "series, frame 0",
        "series, frame 1",
    ]


def test_the_same_frame_twice_is_refused(views):
    with pytest.raises(ValueError, match="micrographs must differ in stem or frame"):
        build_report([views[0], views[0]], pd.DataFrame(), pd.DataFrame(), parameters={})


def test_a_page_keeps_to_its_bytes(views, summary_of, calibration_of):
    rng = np.random.default_rng(0)
    large = replace(views[0], image=rng.random((1500, 2000), dtype=np.float32))
    arguments = ([large], summary_of([large]), calibration_of([large]))
    whole = build_report(*arguments, parameters={})
    assert ", shown with" not in Page(whole).visible
    assert whole.count('type="text/plain" id="m0-i') == 3 * 4
    small = build_report(*arguments, parameters={}, page_bytes=600_000)
    assert len(small) < 800_000 < len(whole)
    assert ", shown with" in Page(small).visible


def test_a_page_needs_bytes():
    with pytest.raises(ValueError, match="page_bytes must be > 0, got 0"):
        build_report([], pd.DataFrame(), pd.DataFrame(), parameters={}, page_bytes=0)


def test_what_the_viewer_reads_later_comes_after_its_script(text):
    assert text.index('id="data-0"') < text.index('"use strict"') < text.index('id="m0-o0"')
    assert text.index('"use strict"') < text.index('id="data-1"')


def test_optional_parts_are_shown(views, summary_of, calibration_of):
    series = pd.DataFrame(
        {
            "micrograph": "a",
            "time": [0.0, 1.0],
            "statistic": "bond_mean",
            "value": 1.4,
            "low": 1.3,
            "high": 1.5,
        }
    )
    groups = pd.DataFrame(
        {
            "group": ["hot"], "reference": "cold", "statistic": "bond_mean", "difference": 0.1, "low": 0.05,
            "high": 0.15, "p_value": 0.01, "q_value": 0.02,
        }
    )  # fmt: skip
    literature = pd.DataFrame({"size": [6], "low": [0.4], "high": [0.7], "source": ["models"]})
    defects = pd.DataFrame(
        {"frame": [0], "kind": ["585"], "rings": [3], "x": [1.0], "y": [1.0], "complete": [True]}
    )
    shown = replace(
        views[0],
        warnings=["tilted by <5°"],
        twin=b"a",
        film=b"b",
        defects=defects,
        figures=[("S(q)", "<svg/>")],
    )
    calibration = calibration_of([shown]).assign(sampling_error=0.0021, in_domain=False)
    page = Page(
        build_report(
            [shown],
            summary_of([shown]),
            calibration,
            parameters={},
            series=series,
            groups=groups,
            literature=literature,
        )
    )
    for words in (
        "Against time", "Comparison of groups", "hot − cold", "0.0100", "tilted by <5°", "Simulated twin",
        "585", "Outside the training domain", "0.2000 ± 0.0021", "S(q)", "Film of the map",
        "Grey boxes: models.", "@article{leist2022deep",
    ):  # fmt: skip
        assert words in page.visible, words
    assert all(item["src"].startswith("data:image/") for item in page.of("img"))
    assert len(page.of("img")) == 3


def test_parameters_are_written_plainly():
    assert build._write_parameter([0.5, None, "a", 3]) == "0.5, none, a, 3"
