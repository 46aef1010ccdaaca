import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from amorph2d.measures.window import RectangularWindow
from amorph2d.plotting.colours import CENTRE, RING_COLOURS
from amorph2d.plotting.film import encode_film, film_frames

FIELD = RectangularWindow(0.0, 0.0, 30.0, 20.0)


def square(x, y, side=6.0):
    return [(x - side / 2, y - side / 2), (x + side / 2, y - side / 2), (x + side / 2, y + side / 2),
            (x - side / 2, y + side / 2)]  # fmt: skip


def tables(frames, drift=(0.0, 0.0), time=True):
    """Squares, each with the size that it pretends to have, in each frame: [(x, y, size), …]."""
    sites, rings, members = [], [], []
    for frame, shapes in enumerate(frames):
        corners = np.array([corner for x, y, _ in shapes for corner in square(x, y)]).reshape(-1, 2)
        moved = corners + np.array(drift) * frame
        columns = {"frame": frame, "site": np.arange(len(corners)), "kind": "atom", "analysable": True}
        columns |= {
            "x": moved[:, 0],
            "y": moved[:, 1],
            "x_aligned": corners[:, 0],
            "y_aligned": corners[:, 1],
        }
        sites.append(pd.DataFrame(columns | ({"time": 2.5 * frame} if time else {})))
        rings.append(pd.DataFrame({"frame": frame, "size": [size for *_, size in shapes]}))
        row = np.repeat(np.arange(len(shapes)), 4)
        members.append(pd.DataFrame({"frame": frame, "row": row, "atom": np.arange(len(corners))}))
    return tuple(pd.concat(parts, ignore_index=True) for parts in (sites, rings, members))


def colour(text):
    return [int(text[k : k + 2], 16) for k in (1, 3, 5)]


def pixel(frame, x, y, panel=0, n_panels=1):
    width = frame.shape[1] // n_panels
    return frame[int(y * frame.shape[0] / 20), panel * width + int(x * width / 30)].tolist()


def test_rings_have_their_colours_where_they_are():
    first, second = film_frames(
        *tables([[(10, 12, 5), (20, 12, 7)], [(10, 12, 8)]]), field=FIELD, max_side=240
    )
    assert first.shape == second.shape == (160, 240, 3)
    assert first.dtype == np.uint8
    assert pixel(first, 10, 12) == colour(RING_COLOURS[5])
    assert pixel(first, 20, 12) == colour(RING_COLOURS[7])
    assert pixel(second, 10, 12) == colour(RING_COLOURS[8])
    assert pixel(second, 20, 12) == [255, 255, 255]


def test_drift_is_taken_out():
    shapes = [[(10, 12, 5)]] * 3
    still = list(film_frames(*tables(shapes, time=False), field=FIELD, max_side=240))
    moving = list(film_frames(*tables(shapes, drift=(3.0, -2.0), time=False), field=FIELD, max_side=240))
    for one, other in zip(still, moving, strict=True):
        np.testing.assert_array_equal(one, other)
    sites, *rest = tables(shapes, drift=(3.0, -2.0))
    there = list(
        film_frames(sites.drop(columns=["x_aligned", "y_aligned"]), *rest, field=FIELD, max_side=240)
    )
    assert pixel(there[2], 16, 8) == colour(RING_COLOURS[5])


def test_time_is_written():
    still = tables([[(20, 12, 5)]] * 2)
    first, second = film_frames(*still, field=FIELD, max_side=240)
    is_different = (first != second).any(axis=2)
    assert is_different.any()
    assert not is_different[40:].any()
    assert not is_different[:, 120:].any()


def test_events_are_marked_for_three_frames():
    sheets = tables([[(20, 12, 5)]] * 6, time=False)
    events = pd.DataFrame(
        {"x": [10.0, 25.0], "y": [12.0, 12.0], "frame_after": [2, 2], "persistent": [True, False]}
    )
    frames = list(film_frames(*sheets, field=FIELD, max_side=240, events=events))
    is_marked = [(frame == colour(CENTRE)).all(axis=2) for frame in frames]
    assert [bool(mark.any()) for mark in is_marked] == [False, False, True, True, True, False]
    rows, columns = np.nonzero(is_marked[2])
    assert columns.mean() / 8 == pytest.approx(10, abs=0.2)
    assert rows.mean() / 8 == pytest.approx(12, abs=0.2)


def test_the_micrograph_beside_shows_the_same_place():
    drift = np.array([2.0, -1.0])
    images = []
    for frame in range(2):
        y, x = np.mgrid[0:100, 0:100] * 0.5
        middle = np.array([10.0, 12.0]) + drift * frame + 5.0
        images.append(((np.abs(x - middle[0]) < 3) & (np.abs(y - middle[1]) < 3)).astype(float))
    sheets = tables([[(15, 17, 5)]] * 2, drift=drift, time=False)
    field = RectangularWindow(5.0, 5.0, 35.0, 25.0)
    frames = list(film_frames(*sheets, field=field, max_side=480, images=images, sampling=0.5))
    assert frames[0].shape == (160, 480, 3)
    for frame in frames:
        grey, drawn = frame[40:120, :240], frame[40:120, 240:]
        bright = np.argwhere(grey[..., 0] > 200)[:, ::-1].mean(axis=0)
        coloured = np.argwhere((drawn == colour(RING_COLOURS[5])).all(axis=2))[:, ::-1].mean(axis=0)
        np.testing.assert_allclose(bright, coloured, atol=2.0)


def test_frames_are_drawn_one_at_a_time():
    asked = []

    def images():
        for number in range(3):
            asked.append(number)
            yield np.arange(100.0).reshape(10, 10)

    frames = film_frames(
        *tables([[(15, 10, 5)]] * 3), field=FIELD, max_side=100, images=images(), sampling=3.0
    )
    next(frames)
    assert asked == [0]


def test_an_empty_series_has_no_frames_and_a_frame_may_be_empty():
    sites, rings, members = tables([[(15, 10, 5)], [(15, 10, 5)]])
    empty = (table.iloc[:0] for table in (sites, rings, members))
    assert list(film_frames(*empty, field=FIELD)) == []
    none = (sites, rings[rings["frame"] == 0], members[members["frame"] == 0])
    _, last = film_frames(*none, field=FIELD, max_side=240)
    assert pixel(last, 15, 10) == [255, 255, 255]


def test_errors_of_frames():
    sheets = tables([[(15, 10, 5)]] * 2)
    with pytest.raises(ValueError, match="max_side must be >= 64 px, got 10"):
        film_frames(*sheets, field=FIELD, max_side=10)
    with pytest.raises(ValueError, match="field must have an area"):
        film_frames(*sheets, field=RectangularWindow(0.0, 0.0, 0.0, 5.0))
    with pytest.raises(ValueError, match="sampling must be given with images"):
        film_frames(*sheets, field=FIELD, images=[])
    with pytest.raises(ValueError, match="images must be as many as the frames, 2, got 1"):
        list(film_frames(*sheets, field=FIELD, images=[np.ones((9, 9))], sampling=2.0))


def pictures(n=4):
    frames = list(
        film_frames(*tables([[(8 + k, 12, 5), (22, 12, 7)] for k in range(n)]), field=FIELD, max_side=120)
    )
    return iter(frames), frames


@pytest.mark.parametrize("kind", ["webp", "gif"])
def test_a_film_is_read_back(kind):
    stream, frames = pictures()
    with Image.open(io.BytesIO(encode_film(stream, fps=4, kind=kind))) as film:
        assert film.format == kind.upper()
        assert film.n_frames == 4
        assert film.info["loop"] == 0
        for number, frame in enumerate(frames):
            film.seek(number)
            shown = np.asarray(film.convert("RGB"))
            assert film.info["duration"] == 250
            np.testing.assert_allclose(shown, frame, atol=0 if kind == "webp" else 8)


def test_losses_make_micrographs_smaller():
    noise = np.random.default_rng(0).integers(0, 255, (3, 80, 90, 3), dtype=np.uint8)
    exact, rough = (len(encode_film(noise, fps=5, quality=quality)) for quality in (None, 30))
    assert rough < 0.6 * exact


def test_one_frame_is_a_film_too():
    _, frames = pictures(1)
    with Image.open(io.BytesIO(encode_film(frames, fps=4))) as film:
        np.testing.assert_array_equal(np.asarray(film.convert("RGB")), frames[0])


def test_errors_of_films():
    _, frames = pictures(1)
    with pytest.raises(ValueError, match="fps must be > 0, got 0"):
        encode_film(frames, fps=0)
    with pytest.raises(ValueError, match="kind must be webp or gif, got 'mp4'"):
        encode_film(frames, fps=1, kind="mp4")
    with pytest.raises(ValueError, match="quality must be 0 to 100, got 101"):
        encode_film(frames, fps=1, quality=101)
    with pytest.raises(ValueError, match="frames must be at least one, got none"):
        encode_film([], fps=1)
    with pytest.raises(ValueError, match="frames must all have one shape"):
        encode_film([frames[0], frames[0][1:]], fps=1)
    with pytest.raises(ValueError, match=r"frames must be \(rows, columns, 3\) uint8"):
        encode_film([np.zeros((4, 4))], fps=1)
