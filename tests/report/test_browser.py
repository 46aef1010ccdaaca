"""The page in a real browser: every control does what it says, and nothing is loaded."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from amorph2d.report.build import build_report

webdriver = pytest.importorskip("selenium.webdriver")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver")

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
    "--window-size=1280,900",
)


@pytest.fixture(scope="module")
def views(make_view):
    return [make_view(f"sheet_{i}", shape=(110, 130), disorder=0.08 * i, seed=i) for i in (1, 2)]


@pytest.fixture(scope="module")
def address(views, summary_of, calibration_of, tmp_path_factory):
    name = '<img src=x onerror="window.broken=1">\'.tif'
    failed = pd.DataFrame([{"file": name, "micrograph": name, "status": "not analysed", "reason": name}])
    calibration = pd.concat([calibration_of(views), failed], ignore_index=True)
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(build_report(views, summary_of(views), calibration, parameters={}), encoding="utf-8")
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
    browser.get(address)
    wait(lambda: int(canvas(browser).get_attribute("data-frames") or 0) > 0)
    settle(browser)
    return browser


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
    import json

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


@pytest.mark.parametrize("layer", ["image", "rings", "bonds", "atoms", "centres"])
def test_a_layer_can_be_switched_off_and_on(page, layer):
    click(page, "zoom-in")
    before = pixels(page)
    click(page, f"layer-{layer}")
    assert np.abs(pixels(page) - before).mean() > 0.5
    click(page, f"layer-{layer}")
    np.testing.assert_array_equal(pixels(page), before)


def test_the_image_is_the_micrograph(page, views):
    for layer in ("rings", "bonds", "atoms"):
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
