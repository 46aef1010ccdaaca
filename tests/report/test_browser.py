"""The page in a real browser: every control does what it says, and nothing is loaded."""

from __future__ import annotations

import base64
import json
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from amorph2d.report import payload
from amorph2d.report.build import build_report
from amorph2d.report.view import counted_angles, counted_lengths, counted_sizes

webdriver = pytest.importorskip("selenium.webdriver")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver")

SMALL = ("centres", "warnings", "defects")  # layers that leave most pixels as they are

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--force-color-profile=srgb",
    "--window-size=1280,1150",
)


@pytest.fixture(scope="module")
def views(make_view):
    plain = [make_view(f"sheet_{i}", shape=(110, 130), disorder=0.08 * i, seed=i) for i in (1, 2)]
    return [with_everything(plain[0]), plain[1]]


def with_everything(view):
    """The view with a mask, warnings, defects and numbers to colour by."""
    mask = np.ones((55, 65), dtype=np.uint8)
    mask[5:40, 10:30] = 2
    rings = view.rings.assign(delaunay_size=view.rings["size"])
    rings.loc[rings.index[rings["complete"]][:3], "ring"] = -1
    defects = pd.DataFrame(
        {
            "frame": 0,
            "kind": ["585", "5-7 pair"],
            "rings": 2,
            "x": [7.0, 17.0],
            "y": [15.0, 6.0],
            "complete": True,
        }
    )
    n_atoms = int((view.sites["kind"] == "atom").sum())
    return replace(
        view,
        mask=mask,
        rings=rings,
        defects=defects,
        warnings=["contrast is low"],
        ring_values={"psi6": np.linspace(0, 1, len(rings))},
        atom_values={"bond_strain": np.linspace(-0.1, 0.1, n_atoms)},
    )


@pytest.fixture(scope="module")
def address(views, summary_of, calibration_of, tmp_path_factory):
    name = '<img src=x onerror="window.broken=1">\'.tif'
    failed = pd.DataFrame([{"file": name, "micrograph": name, "status": "not analysed", "reason": name}])
    calibration = pd.concat([calibration_of(views), failed], ignore_index=True)
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(build_report(views, summary_of(views), calibration, parameters={}), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def large_view(make_view):
    return make_view("large", shape=(1500, 1600), disorder=0.1, seed=3, sampling=(0.1, 0.1))


@pytest.fixture(scope="module")
def large_address(large_view, summary_of, calibration_of, tmp_path_factory):
    path = tmp_path_factory.mktemp("large") / "report.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(payload, "DETAIL", 4000)
        patch.setattr("amorph2d.report.build.DETAIL", 4000)
        text = build_report(
            [large_view], summary_of([large_view]), calibration_of([large_view]), parameters={}
        )
    path.write_text(text, encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(executable_path=DRIVER))
    driver.set_script_timeout(20)
    yield driver
    driver.quit()


@pytest.fixture
def page(browser, address):
    return opened(browser, address)


@pytest.fixture
def large(browser, large_address):
    return opened(browser, large_address)


def opened(browser, address):
    browser.get(address)
    wait(lambda: int(canvas(browser).get_attribute("data-frames") or 0) > 0)
    read(browser)
    return browser


def read(page):
    """Wait until everything that the view shows has been read and drawn."""

    def is_done():
        settle(page)
        return canvas(page).get_attribute("data-reading") == "0"

    wait(is_done)
    page.execute_async_script("setTimeout(arguments[0], 120)")
    settle(page)


def wait(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the page did not get there"
        time.sleep(0.02)


def canvas(page):
    return page.find_element("id", "canvas")


def click(page, name):
    page.execute_script("document.getElementById(arguments[0]).click()", name)
    settle(page)


def settle(page):
    page.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")


def pixels(page):
    """Mean colour of a coarse copy of the canvas, (30, 30, 3)."""
    values = page.execute_script(
        "const c = document.createElement('canvas'); c.width = c.height = 30; const x = c.getContext('2d');"
        "x.drawImage(document.getElementById('canvas'), 0, 0, 30, 30);"
        "return Array.from(x.getImageData(0, 0, 30, 30).data)"
    )
    return np.array(values).reshape(30, 30, 4)[..., :3].astype(int)


def picture(page):
    """The whole canvas."""
    return page.execute_script("return document.getElementById('canvas').toDataURL()")


def scale(page):
    return float(canvas(page).get_attribute("data-scale"))


def centre(page):
    return tuple(float(canvas(page).get_attribute(f"data-{axis}")) for axis in "xy")


def readout(page):
    return page.find_element("id", "readout").text


def offset_of(page, x, y):
    """Place of a position [Å] as an offset from the middle of the canvas [px]."""
    middle = centre(page)
    return round((x - middle[0]) * scale(page)), round((y - middle[1]) * scale(page))


def point_at(page, x, y):
    move(page).move_to_element_with_offset(canvas(page), *offset_of(page, x, y)).perform()
    settle(page)


def move(page):
    from selenium.webdriver import ActionChains

    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas(page))
    return ActionChains(page, duration=20)


def press(page, key):
    page.execute_script("arguments[0].focus()", canvas(page))
    canvas(page).send_keys(key)
    settle(page)


def is_shown(page, selector):
    return [item.is_displayed() for item in page.find_elements("css selector", selector)]


def test_nothing_fails_and_nothing_is_loaded(page, address):
    page.get_log("performance"), page.get_log("browser")
    page.get(address)
    for control in ("zoom-in", "next", "layer-image", "layer-image", "previous", "zoom-fit"):
        click(page, control)
    assert page.get_log("browser") == []
    requests = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    urls = [
        item["params"]["request"]["url"] for item in requests if item["method"] == "Network.requestWillBeSent"
    ]
    assert {url.split(":")[0] for url in urls} <= {"file", "data"}
    assert [url for url in urls if url.startswith("file:")] == [address]
    assert page.execute_script("return window.broken") is None


@pytest.mark.parametrize(
    "layer", ["image", "rings", "bonds", "atoms", "centres", "masks", "warnings", "defects"]
)
def test_a_layer_can_be_switched_off_and_on(page, layer):
    click(page, "zoom-in")
    before = pixels(page)
    whole = picture(page)
    click(page, f"layer-{layer}")
    assert layer in SMALL or np.abs(pixels(page) - before).mean() > 0.5
    assert picture(page) != whole
    click(page, f"layer-{layer}")
    assert picture(page) == whole
    np.testing.assert_array_equal(pixels(page), before)


def test_the_image_is_the_micrograph(page, views):
    for layer in ("rings", "bonds", "atoms", "warnings", "defects"):
        click(page, f"layer-{layer}")
    shown = page.execute_script(
        "const c = document.createElement('canvas'); c.width = 130; c.height = 110;"
        "const x = c.getContext('2d'), o = document.getElementById('canvas');"
        "const s = o.dataset.scale * o.width / o.clientWidth, w = 26 * s, h = 22 * s;"
        "x.drawImage(o, (o.width - w) / 2, (o.height - h) / 2, w, h, 0, 0, 130, 110);"
        "return Array.from(x.getImageData(0, 0, 130, 110).data)"
    )
    grey = np.array(shown).reshape(110, 130, 4)[20:-20, 20:-50, 0]
    assert np.corrcoef(grey.ravel(), views[0].image[20:-20, 20:-50].ravel())[0, 1] > 0.9


def test_zoom_buttons_change_the_scale(page):
    fit = scale(page)
    click(page, "zoom-in")
    assert scale(page) == pytest.approx(1.5 * fit, rel=1e-3)
    click(page, "zoom-out")
    assert scale(page) == pytest.approx(fit, rel=1e-3)
    click(page, "zoom-in")
    click(page, "zoom-fit")
    assert scale(page) == pytest.approx(fit, rel=1e-3)


def test_zoom_has_limits(page):
    for _ in range(15):
        click(page, "zoom-in")
    largest = scale(page)
    click(page, "zoom-in")
    assert scale(page) == largest
    for _ in range(20):
        click(page, "zoom-out")
    assert largest / 100 < scale(page) < largest


def test_the_wheel_zooms_about_the_pointer(page, views):
    atom = views[0].sites.iloc[40]
    point_at(page, atom["x"], atom["y"])
    before, place = scale(page), offset_of(page, atom["x"], atom["y"])
    origin = page.execute_script(
        "const b = arguments[0].getBoundingClientRect(); return [b.left + b.width / 2, b.top + b.height / 2]",
        canvas(page),
    )
    x, y = (round(start + step) for start, step in zip(origin, place, strict=True))
    wheel = {"type": "mouseWheel", "x": x, "y": y, "deltaX": 0, "deltaY": -200}
    page.execute_cdp_cmd("Input.dispatchMouseEvent", wheel)
    wait(lambda: scale(page) > 1.3 * before)
    np.testing.assert_allclose(offset_of(page, atom["x"], atom["y"]), place, atol=2)


def test_dragging_moves_the_field(page):
    click(page, "zoom-in")
    before = centre(page)
    move(page).click_and_hold(canvas(page)).move_by_offset(60, -40).release().perform()
    settle(page)
    after = centre(page)
    assert after[0] == pytest.approx(before[0] - 60 / scale(page), abs=0.1)
    assert after[1] == pytest.approx(before[1] + 40 / scale(page), abs=0.1)


def test_two_fingers_zoom(page):
    box = page.execute_script(
        "arguments[0].scrollIntoView({block: 'center'}); return arguments[0].getBoundingClientRect()",
        canvas(page),
    )
    x, y, before = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, scale(page)

    def touch(kind, reach):
        fingers = [{"x": x - reach, "y": y, "id": 0}, {"x": x + reach, "y": y, "id": 1}] if reach else []
        page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    touch("touchStart", 40)
    for reach in (50, 65, 80):
        touch("touchMove", reach)
    touch("touchEnd", 0)
    wait(lambda: scale(page) > 1.5 * before)
    assert scale(page) == pytest.approx(2 * before, rel=0.1)


def test_keys_move_and_zoom(page):
    fit, start = scale(page), centre(page)
    press(page, "+")
    assert scale(page) == pytest.approx(1.5 * fit, rel=1e-3)
    press(page, "\ue014")  # right
    assert centre(page)[0] > start[0]
    press(page, "\ue015")  # down
    assert centre(page)[1] > start[1]
    assert readout(page).startswith(("Atom", "Ring"))
    press(page, "-")
    press(page, "0")
    assert (scale(page), centre(page)) == (fit, start)


def test_pointing_reads_out_an_atom(page, views):
    sites = views[0].sites
    atom = sites[(sites["kind"] == "atom") & (sites["x"].between(10, 14)) & (sites["y"].between(9, 12))].iloc[
        0
    ]
    click(page, "zoom-in")
    point_at(page, atom["x"], atom["y"])
    text = readout(page)
    assert text.startswith(f"Atom {atom['site']} ·")
    assert f"x {atom['x']:.2f}, y {atom['y']:.2f} Å" in text
    assert f"σ {atom['sigma']:.3f} Å" in text
    assert f"confidence {atom['confidence']:.2f}" in text


def test_pointing_reads_out_a_ring_or_its_centre(page, views):
    rings = views[0].rings
    ring = rings[rings["complete"] & rings["x"].between(10, 16) & rings["y"].between(8, 14)].iloc[0]
    point_at(page, ring["x"], ring["y"])
    assert readout(page).startswith(f"Ring of {ring['size']} ·")
    assert f"area {ring['area']:.2f} Å²" in readout(page)
    click(page, "layer-centres")
    point_at(page, ring["x"] + 0.1, ring["y"])
    assert readout(page).startswith(f"Ring centre {ring['ring']} ·")


def test_what_does_not_count_is_named(page, views):
    sites = views[0].sites
    atom = sites[(sites["kind"] == "atom") & ~sites["analysable"] & sites["y"].between(6, 16)].iloc[0]
    point_at(page, atom["x"], atom["y"])
    assert readout(page).endswith("not analysable")


def test_choosing_another_micrograph_changes_everything(page, views):
    first = pixels(page)
    assert is_shown(page, "[data-chart]") == [True, False, False]
    click(page, "next")
    wait(lambda: np.abs(pixels(page) - first).mean() > 1)
    assert canvas(page).get_attribute("data-micrograph") == "sheet_2"
    assert is_shown(page, "[data-chart]") == [False, True, False]
    assert is_shown(page, "#statistics [data-micrograph]") == [False, True]
    assert is_shown(page, "#overlay .facts") == [False, True]
    assert not page.find_element("id", "next").is_enabled()
    page.execute_script(
        "const s = document.getElementById('micrograph'); s.value = '0'; s.dispatchEvent(new Event('change'))"
    )
    settle(page)
    assert canvas(page).get_attribute("data-micrograph") == "sheet_1"


def test_charts_can_show_all_micrographs(page):
    page.execute_script("document.querySelector('input[name=scope][value=pooled]').click()")
    assert is_shown(page, "[data-chart]") == [False, False, True]
    click(page, "next")
    assert is_shown(page, "[data-chart]") == [False, False, True]
    page.execute_script("document.querySelector('input[name=scope][value=selected]').click()")
    assert is_shown(page, "[data-chart]") == [False, True, False]


def test_ring_sizes_are_counted_and_can_be_hidden(page, views):
    click(page, "next")
    complete = views[1].rings.loc[views[1].rings["complete"], "size"]
    counts = {
        item.get_attribute("data-size"): item.text.split()
        for item in page.find_elements("class name", "size")
    }
    assert counts == {str(size): [str(size), str(count)] for size, count in complete.value_counts().items()}
    wait(lambda: np.ptp(pixels(page)) > 30)
    before = pixels(page)
    button = page.find_element("css selector", ".size[data-size='6']")
    page.execute_script("arguments[0].click()", button)
    settle(page)
    assert button.get_attribute("aria-pressed") == "false"
    assert np.abs(pixels(page) - before).mean() > 0.5


def test_the_fill_can_be_made_stronger(page):
    before = pixels(page)
    page.execute_script(
        "const o = document.getElementById('opacity'); o.value = 100; o.dispatchEvent(new Event('input'))"
    )
    settle(page)
    assert np.abs(pixels(page) - before).mean() > 0.5


def test_charts_say_their_numbers_below(page):
    bar = page.find_element("css selector", "[data-chart='0'] rect.ring[fill='#ece8dd']")
    output = page.find_element("css selector", "[data-chart='0'] figure output")
    page.execute_script("arguments[0].dispatchEvent(new PointerEvent('pointerover', {bubbles: true}))", bar)
    assert output.text.startswith("6-membered: ")
    page.execute_script(
        "arguments[0].dispatchEvent(new PointerEvent('pointerover', {bubbles: true}))", output
    )
    assert output.text == ""


def test_the_view_can_be_saved(page, tmp_path):
    page.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    click(page, "save")
    wait(lambda: Path(tmp_path / "sheet_1.png").exists())
    wait(lambda: (tmp_path / "sheet_1.png").read_bytes()[:4] == b"\x89PNG")


@pytest.mark.parametrize(("kind", "value"), [("rings", "0"), ("rings", "1"), ("atoms", "0")])
def test_rings_and_atoms_take_other_colours(page, kind, value):
    before = pixels(page)
    choose(page, f"colour-{kind}", value)
    assert np.abs(pixels(page) - before).mean() > 0.3
    assert is_shown(page, ".scale") == [True]
    choose(page, f"colour-{kind}", "-1")
    np.testing.assert_array_equal(pixels(page), before)
    assert is_shown(page, ".scale") == []


def choose(page, name, value):
    page.execute_script(
        "const s = document.getElementById(arguments[0]); s.value = arguments[1];"
        "s.dispatchEvent(new Event('change'))",
        name,
        value,
    )
    settle(page)


def test_controls_without_anything_to_show_are_hidden(page):
    extras = "#layer-masks, #layer-warnings, #layer-defects, #colour-atoms"
    assert is_shown(page, extras) == [True] * 4
    click(page, "next")
    wait(lambda: is_shown(page, extras) == [False] * 4)
    assert page.find_elements("css selector", "#defect-kinds li") == []


def test_a_ring_without_a_centre_says_so(page, views):
    ring = views[0].rings[views[0].rings["ring"] < 0].iloc[0]
    point_at(page, ring["x"], ring["y"])
    assert readout(page).endswith("no ring centre found")
    assert "order |ψ₆|" in readout(page)


def test_a_defect_is_named(page):
    point_at(page, 7.0, 15.0)
    assert readout(page) == "Defect 585 · x 7.0, y 15.0 Å"
    lines = [item.text.split() for item in page.find_elements("css selector", "#defect-kinds li")]
    assert sorted(lines) == [["5-7", "pair", "1"], ["585", "1"]]


def chart(page, kind):
    return page.find_element("css selector", f"[data-chart='0'] svg[data-link={kind}]")


def edges(page, kind):
    return np.array([float(edge) for edge in chart(page, kind).get_attribute("data-edges").split()])


def highlighted(page):
    wait(lambda: canvas(page).get_attribute("data-highlighted") is not None)
    return int(canvas(page).get_attribute("data-highlighted"))


def selected(page):
    wait(lambda: canvas(page).get_attribute("data-selected") is not None)
    return json.loads(canvas(page).get_attribute("data-selected"))


def brush(page, kind, first, last):
    """Drag from one bar to another."""
    from selenium.webdriver import ActionChains

    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", chart(page, kind))
    bars = chart(page, kind).find_elements("css selector", "rect.bar")
    box, ends = chart(page, kind).rect, [bars[first].rect, bars[last].rect]
    middle = box["x"] + box["width"] / 2
    start, stop = (round(end["x"] + end["width"] / 2 - middle) for end in ends)
    ActionChains(page, duration=20).move_to_element_with_offset(
        chart(page, kind), start, 0
    ).click_and_hold().move_by_offset(stop - start, 0).release().perform()
    settle(page)


@pytest.mark.parametrize("kind", ["length", "angle"])
def test_brushing_a_histogram_marks_what_it_counts(page, views, kind):
    before = pixels(page)
    n = len(edges(page, kind)) - 1
    first, last = n // 3, n // 2
    brush(page, kind, first, last)
    values = {"length": counted_lengths, "angle": counted_angles}[kind](views[0])
    low, high = edges(page, kind)[[first, last + 1]]
    assert highlighted(page) == pytest.approx(((values >= low) & (values < high)).sum(), abs=1) != 0
    assert "marked on the map" in page.find_element("id", "linked").text
    assert np.abs(pixels(page) - before).mean() > 0.3
    click(page, "clear")
    np.testing.assert_array_equal(pixels(page), before)
    assert not page.find_elements("css selector", ".brush")


def test_all_bars_together_mark_everything(page, views):
    brush(page, "length", 0, -1)
    inside = np.histogram(counted_lengths(views[0]), edges(page, "length"))[0].sum()
    assert highlighted(page) == pytest.approx(inside, abs=1)


def test_a_histogram_can_be_brushed_with_keys(page, views):
    svg = chart(page, "angle")
    page.execute_script("arguments[0].focus()", svg)
    for _ in range(3):
        svg.send_keys("\ue008" + "\ue014")  # shift and right
    settle(page)
    n = len(edges(page, "angle")) - 1
    counts = np.histogram(counted_angles(views[0]), edges(page, "angle"))[0]
    middle = n // 2 - 1
    assert highlighted(page) == pytest.approx(counts[middle : middle + 4].sum(), abs=1)
    svg.send_keys("\ue00c")  # escape
    assert canvas(page).get_attribute("data-highlighted") is None


def test_a_ring_bar_marks_its_rings(page, views):
    bar = page.find_element("css selector", "[data-chart='0'] rect.ring[data-size='6']")
    page.execute_script("arguments[0].dispatchEvent(new MouseEvent('click', {bubbles: true}))", bar)
    assert highlighted(page) == (counted_sizes(views[0]) == 6).sum()
    assert bar.get_attribute("aria-pressed") == "true"
    bar.send_keys(" ")
    settle(page)
    assert bar.get_attribute("aria-pressed") == "false"
    assert canvas(page).get_attribute("data-highlighted") is None


def test_selecting_a_rectangle_counts_in_the_charts(page, views):
    before = centre(page)
    click(page, "choose")
    start, end = offset_of(page, 6.0, 5.0), offset_of(page, 18.0, 15.0)
    move(page).move_to_element_with_offset(canvas(page), *start).click_and_hold().move_by_offset(
        end[0] - start[0], end[1] - start[1]
    ).release().perform()
    total = selected(page)
    assert centre(page) == before
    sites = views[0].sites
    one_pixel = 1.5 / scale(page)
    atoms = sites[(sites["kind"] == "atom") & sites["analysable"]]
    fewest, most = (
        int((atoms["x"].between(6 - r, 18 + r) & atoms["y"].between(5 - r, 15 + r)).sum())
        for r in (-one_pixel, one_pixel)
    )
    assert fewest <= total["atoms"] <= most
    assert total["bonds"] > total["atoms"]
    assert total["rings"] == sum(total["sizes"].values()) > 0
    shown = page.execute_script(
        "return ['length', 'angle', 'size'].map(k => document.querySelectorAll("
        "`[data-chart='0'] svg[data-link=${k}] .chosen`).length)"
    )
    assert all(shown)
    press(page, "\ue00c")
    assert not page.find_elements("css selector", ".chosen")


def test_selecting_everything_fills_the_bars(page, views):
    press(page, "0")
    press(page, "s")
    total = selected(page)
    assert total["bonds"] == len(counted_lengths(views[0]))
    assert total["angles"] == len(counted_angles(views[0]))
    assert total["rings"] == len(counted_sizes(views[0]))
    for kind in ("length", "angle"):
        heights = page.execute_script(
            "const s = document.querySelector(`[data-chart='0'] svg[data-link=${arguments[0]}]`);"
            "return ['.bar', '.chosen'].map(c => [...s.querySelectorAll(c)]"
            ".reduce((sum, r) => sum + Number(r.getAttribute('height')), 0))",
            kind,
        )
        assert heights[1] == pytest.approx(heights[0], rel=0.02)


def test_finer_tiles_are_read_only_when_zoomed_in(large):
    assert canvas(large).get_attribute("data-level") == "1"
    assert large.execute_script("return document.querySelectorAll('script[id^=m0-i]').length") == 3 * 4
    for _ in range(4):
        click(large, "zoom-in")
    read(large)
    assert canvas(large).get_attribute("data-level") == "0"
    assert 1 <= int(canvas(large).get_attribute("data-image-tiles")) < 12


def test_the_fine_tiles_show_the_same_place(large, large_view):
    for layer in ("rings", "bonds", "atoms"):
        click(large, f"layer-{layer}")
    for _ in range(4):
        click(large, "zoom-in")
    read(large)
    shown = large.execute_script(
        "const o = document.getElementById('canvas'), c = document.createElement('canvas');"
        "const s = o.dataset.scale * o.width / o.clientWidth, w = 20 * s, h = 16 * s;"
        "c.width = 200; c.height = 160; const x = c.getContext('2d');"
        "x.drawImage(o, (o.width - w) / 2, (o.height - h) / 2, w, h, 0, 0, 200, 160);"
        "return Array.from(x.getImageData(0, 0, 200, 160).data)"
    )
    grey = gaussian_filter(np.array(shown, dtype=float).reshape(160, 200, 4)[..., 0], 2)
    column, row = (round(place / 0.1) for place in centre(large))
    image = gaussian_filter(large_view.image.astype(float), 2)

    def likeness(right):
        part = image[row - 80 : row + 80, column - 100 + right : column + 100 + right]
        return np.corrcoef(grey.ravel(), part.ravel())[0, 1]

    assert likeness(0) > 0.9
    assert likeness(7) < 0.7


def test_many_atoms_are_shown_as_cover_until_zoomed_in(large, large_view):
    assert canvas(large).get_attribute("data-detail") == "0"
    before = pixels(large)
    click(large, "layer-rings")
    assert np.abs(pixels(large) - before).mean() > 0.2
    click(large, "layer-rings")
    for _ in range(3):
        click(large, "zoom-in")
    read(large)
    assert canvas(large).get_attribute("data-detail") == "1"
    ring = large_view.rings
    ring = ring[ring["x"].between(78, 82) & ring["y"].between(73, 77) & ring["complete"]].iloc[0]
    point_at(large, ring["x"], ring["y"])
    assert readout(large).startswith(f"Ring of {ring['size']} ·")


def test_counts_reach_over_all_tiles(large, large_view):
    brush(large, "length", 0, -1)
    inside = np.histogram(counted_lengths(large_view), edges(large, "length"))[0].sum()
    assert highlighted(large) == pytest.approx(inside, abs=3)
    press(large, "0")
    press(large, "s")
    assert selected(large)["bonds"] == len(counted_lengths(large_view))


def test_the_first_picture_is_there_at_once(large):
    assert (
        large.execute_script("return performance.getEntriesByName('first-contentful-paint')[0].startTime")
        < 2000
    )


def test_the_citation_can_be_copied(page):
    page.execute_script("document.querySelector('.cite').open = true")
    page.find_element("id", "copy-citation").click()
    wait(lambda: page.find_element("id", "copy-citation").text in ("Copied", "Press Ctrl+C to copy"))


def test_the_page_prints_on_pages(page):
    pdf = base64.b64decode(page.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"])
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 15


@pytest.mark.parametrize("width", [360, 390, 768])
def test_narrow_screens_do_not_scroll_sideways(page, width):
    metrics = {"width": width, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        page.refresh()
        settle(page)
        assert page.execute_script("return document.documentElement.scrollWidth") <= width
        box = canvas(page).rect
        assert 0.7 * width < box["width"] <= width
        assert 250 < box["height"] < 800
        for control in page.find_elements("css selector", ".controls button, .controls select, .layer"):
            if control.is_displayed():
                assert control.rect["x"] >= 0
                assert control.rect["x"] + control.rect["width"] <= width
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_page_prints_without_controls(page):
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        for selector in (".topbar", "#save", ".slider", ".zoom", ".scope"):
            assert is_shown(page, selector) == [False], selector
        assert is_shown(page, "#canvas") == [True]
        assert any(is_shown(page, "[data-chart='0'] rect.bar"))
        settle(page)
        assert canvas(page).rect["height"] > 300
        page.execute_script("window.dispatchEvent(new Event('beforeprint'))")
        assert all(is_shown(page, "details dl"))
        page.execute_script("window.dispatchEvent(new Event('afterprint'))")
        assert not any(is_shown(page, "details dl"))
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
