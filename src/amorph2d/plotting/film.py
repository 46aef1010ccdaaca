"""A film of the ring map of a series, with the drift taken out."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from amorph2d.arrays import FloatArray, IntArray
from amorph2d.measures.tables import by_frame, find_sites
from amorph2d.measures.window import RectangularWindow
from amorph2d.plotting.colours import ATOM, CENTRE, INK, RING_COLOURS, ring_classes
from amorph2d.plotting.grey import scale_bar, stretch
from amorph2d.units import Sampling, as_sampling

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

Frame = NDArray[np.uint8]

_FINENESS = 2  # drawn so many times larger, against jagged lines
_MARGIN = 0.02  # of the shorter side, around stamp and scale bar
_TEXT = 0.04  # height of letters, in shorter sides
_LEAST_TEXT = 9  # [px]
_MARKER = 4.0  # radius of the circle around an event [Å]
_SHOWN = 3  # frames for which an event stays marked


class _View(NamedTuple):
    """The part of the sheet that is drawn, and its pixels: columns, rows, and how many to an Å."""

    field: RectangularWindow
    size: tuple[int, int]
    scale: float

    def pixels(self, places: FloatArray) -> FloatArray:
        """Return positions x, y [Å] as column and row."""
        return (places - [self.field.x0, self.field.y0]) * self.scale


def film_frames(
    sites: pd.DataFrame,
    rings: pd.DataFrame,
    ring_atoms: pd.DataFrame,
    *,
    field: RectangularWindow,
    max_side: int = 720,
    events: pd.DataFrame | None = None,
    images: Iterable[ArrayLike] | None = None,
    sampling: Sampling | None = None,
) -> Iterator[Frame]:
    """Draw the rings of one frame after the other, in colours by their size.

    Parameters
    ----------
    sites
        Of all frames; with ``x_aligned`` and ``y_aligned`` [Å] the drift is taken out, with ``time`` [s] it
        is written into the frames.
    rings, ring_atoms
        Rings and their atoms in the same frames.
    field
        What is shown, in aligned coordinates: the area that all frames show.
    max_side
        Longest side of the film, ≥ 64 [px].
    events
        As `series.events.events_table` makes them; those that last are marked for three frames.
    images
        Micrographs of the same frames in their order, to be shown beside; read one at a time.
    sampling
        Of the micrographs, one value or (y, x) [Å/px].

    Yields
    ------
    ndarray
        (rows, columns, 3), all of one shape.

    Raises
    ------
    ValueError
        If `max_side` is too small, the field has no area, images come without their sampling or fewer than
        the frames, or a ring names an atom that does not exist.
    """
    if max_side < 64:
        raise ValueError(f"max_side must be >= 64 px, got {max_side}")
    if not field.area > 0:
        raise ValueError(f"field must have an area, got {field}")
    if images is not None and sampling is None:
        raise ValueError("sampling must be given with images [Å/px], got none")
    view = _view(field, max_side, n_panels=1 if images is None else 2)
    steps = (1.0, 1.0) if sampling is None else as_sampling(sampling)
    return _draw_all(sites, rings, ring_atoms, view=view, events=events, images=images, steps=steps)


def encode_film(
    frames: Iterable[ArrayLike], *, fps: float, kind: str = "webp", quality: int | None = None
) -> bytes:
    """Make an animated picture of frames.

    Parameters
    ----------
    frames
        (rows, columns, 3) uint8, all of one shape, at least one; only compressed ones are held.
    fps
        Frames per second, > 0.
    kind
        "webp", or "gif" for what cannot show it: larger, with 256 colours.
    quality
        Of a WebP with losses, 0 to 100, which suits micrographs: at 50 half the size. If not given nothing is
        lost, which suits maps: half the size of 50.

    Returns
    -------
    bytes
        Content of a file, which repeats without an end.

    Raises
    ------
    ValueError
        If there is no frame, a shape differs, or an argument is out of its bounds.
    """
    if not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"fps must be > 0, got {fps}")
    if quality is not None and not 0 <= quality <= 100:
        raise ValueError(f"quality must be 0 to 100, got {quality}")
    if kind not in ("webp", "gif"):
        raise ValueError(f"kind must be webp or gif, got {kind!r}")
    reel = _reel([_compress(frame) for frame in frames])
    options: dict[str, int] = {}
    if kind == "webp":
        options = {"method": 2, "lossless": quality is None, "quality": 50 if quality is None else quality}
    buffer = io.BytesIO()
    reel.save(buffer, format=kind, save_all=True, duration=round(1000 / fps), loop=0, **options)
    return buffer.getvalue()


def _view(field: RectangularWindow, max_side: int, *, n_panels: int) -> _View:
    """Return how a field fits into panels side by side."""
    width, height = field.x1 - field.x0, field.y1 - field.y0
    scale = max_side / max(n_panels * width, height)
    columns, rows = (max(1, int(side * scale)) for side in (width, height))
    return _View(field, (columns, rows), scale)


def _draw_all(
    sites: pd.DataFrame,
    rings: pd.DataFrame,
    ring_atoms: pd.DataFrame,
    *,
    view: _View,
    events: pd.DataFrame | None,
    images: Iterable[ArrayLike] | None,
    steps: tuple[float, float],
) -> Iterator[Frame]:
    """Draw frame after frame."""
    rings_of, members_of = by_frame(rings), by_frame(ring_atoms)
    source = None if images is None else iter(images)
    numbers = np.unique(sites["frame"].to_numpy(np.int64)).tolist()
    for order, (frame, rows) in enumerate(by_frame(sites).items()):
        recent = numbers[max(order - _SHOWN + 1, 0) : order + 1]
        places = _recent(events, recent)
        panels = [
            _ring_panel(
                rows, rings_of.get(frame, rings.iloc[:0]), members_of.get(frame, ring_atoms.iloc[:0]), view
            )
        ]
        if source is not None:
            image = next(source, None)
            if image is None:
                raise ValueError(f"images must be as many as the frames, {len(numbers)}, got {order}")
            panels.insert(0, _image_panel(image, _drift(rows), view, steps))
        time = float(rows["time"].iloc[0]) if "time" in rows else np.nan
        yield _finish(panels, places, view, f"{time:.4g} s" if np.isfinite(time) else f"frame {frame}")


def _recent(events: pd.DataFrame | None, frames: list[int]) -> FloatArray:
    """Return where events that last have just been, (N, 2) [Å]."""
    if events is None:
        return np.empty((0, 2))
    is_shown = events["persistent"].to_numpy(bool) & events["frame_after"].isin(frames).to_numpy()
    return events.loc[is_shown, ["x", "y"]].to_numpy(np.float64)


def _aligned(rows: pd.DataFrame) -> FloatArray:
    """Return the positions of sites without drift, where that is known, (N, 2) [Å]."""
    axes = ["x_aligned", "y_aligned"] if "x_aligned" in rows else ["x", "y"]
    return rows[axes].to_numpy(np.float64)


def _drift(rows: pd.DataFrame) -> FloatArray:
    """Return the drift that was taken out of a frame, x then y [Å]."""
    moved = rows[["x", "y"]].to_numpy(np.float64) - _aligned(rows)
    return np.asarray(np.median(moved, axis=0))


def _ring_panel(rows: pd.DataFrame, rings: pd.DataFrame, members: pd.DataFrame, view: _View) -> Image:
    """Draw the rings of one frame."""
    from PIL import Image, ImageDraw

    size = (view.size[0] * _FINENESS, view.size[1] * _FINENESS)
    panel = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(panel)
    rows = rows.sort_values("site")
    corner = find_sites(members["atom"].to_numpy(np.int64), rows["site"].to_numpy(), "ring_atoms", "atoms")
    pixels = view.pixels(_aligned(rows)) * _FINENESS
    width = max(1, round(0.12 * view.scale * _FINENESS))
    for ring_class, corners in zip(ring_classes(rings["size"]), _corners(members, corner), strict=True):
        outline = pixels[corners]
        low, high = outline.min(axis=0), outline.max(axis=0)
        if (high >= 0).all() and (low <= size).all():
            path = outline.ravel().tolist()
            pen.polygon(path, fill=RING_COLOURS[ring_class])
            # An outline of the polygon would cost a mask as large as the picture.
            pen.line(path + path[:2], fill=ATOM, width=width)
    return panel.reduce(_FINENESS)


def _corners(members: pd.DataFrame, corner: IntArray) -> list[IntArray]:
    """Return the corners of each ring."""
    row = members["row"].to_numpy()
    return np.split(corner, np.flatnonzero(np.diff(row)) + 1) if len(row) else []


def _image_panel(image: ArrayLike, drift: FloatArray, view: _View, steps: tuple[float, float]) -> Image:
    """Draw the part of a micrograph that the view shows."""
    from PIL import Image

    grey = Image.fromarray(stretch(image))
    step_x, step_y = 1 / (view.scale * steps[1]), 1 / (view.scale * steps[0])
    # Pillow's pixels have their corners at whole numbers, ours their centres.
    left = (view.field.x0 + drift[0]) / steps[1] + 0.5
    top = (view.field.y0 + drift[1]) / steps[0] + 0.5
    how = Image.Transform.AFFINE
    part = grey.transform(
        view.size, how, (step_x, 0, left, 0, step_y, top), resample=Image.Resampling.BILINEAR, fillcolor=255
    )
    return part.convert("RGB")


def _finish(panels: list[Image], places: FloatArray, view: _View, stamp: str) -> Frame:
    """Put panels side by side, with marks, the time and a scale bar."""
    from PIL import Image, ImageDraw

    columns, rows = view.size
    page = Image.new("RGB", (columns * len(panels), rows), "white")
    for number, panel in enumerate(panels):
        page.paste(panel, (number * columns, 0))
    pen = ImageDraw.Draw(page)
    reach, width = max(_MARKER * view.scale, 4.0), max(2, round(0.25 * view.scale))
    for column, row in view.pixels(places):
        for number in range(len(panels)):
            middle = column + number * columns
            pen.ellipse(
                (middle - reach, row - reach, middle + reach, row + reach), outline=CENTRE, width=width
            )
    _write(pen, view, stamp)
    return np.asarray(page)


def _write(pen: ImageDraw, view: _View, stamp: str) -> None:
    """Write the time into the upper, and a scale bar into the lower left corner."""
    from PIL import ImageFont

    columns, rows = view.size
    short = min(columns, rows)
    margin, font = max(3, round(_MARGIN * short)), ImageFont.load_default(max(_LEAST_TEXT, _TEXT * short))
    corner = (2 * margin, 2 * margin)
    pen.rectangle(_grown(pen.textbbox(corner, stamp, font=font, anchor="la"), margin), fill="white")
    pen.text(corner, stamp, fill=INK, font=font, anchor="la")
    length, label = scale_bar(view.field.x1 - view.field.x0)
    end, base, thick = 2 * margin + length * view.scale, rows - 2 * margin, max(2, margin // 2)
    middle = ((2 * margin + end) / 2, base - thick - 2)
    words = pen.textbbox(middle, label, font=font, anchor="mb")
    box = (min(words[0], 2 * margin), words[1], max(words[2], end), base)
    pen.rectangle(_grown(box, margin), fill="white")
    pen.rectangle((2 * margin, base - thick, end, base), fill=INK)
    pen.text(middle, label, fill=INK, font=font, anchor="mb")


def _grown(box: tuple[float, float, float, float], margin: float) -> tuple[float, float, float, float]:
    """Return a box wider by a margin on all sides."""
    left, top, right, bottom = box
    return left - margin, top - margin, right + margin, bottom + margin


def _compress(frame: ArrayLike) -> bytes:
    """Return a frame as PNG."""
    from PIL import Image

    pixels = np.asarray(frame)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise ValueError(f"frames must be (rows, columns, 3) uint8, got {pixels.shape} {pixels.dtype}")
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="png", compress_level=1)
    return buffer.getvalue()


def _reel(pictures: list[bytes]) -> Image:
    """Return one picture of many frames, each of which is unpacked when it is asked for.

    Pillow makes a list of what it appends to a WebP: of pictures it would hold every pixel.
    """
    from PIL import Image

    if not pictures:
        raise ValueError("frames must be at least one, got none")
    sizes = set()
    for picture in pictures:
        with Image.open(io.BytesIO(picture)) as opened:
            sizes.add(opened.size)
    if len(sizes) > 1:
        raise ValueError(f"frames must all have one shape, got {sorted(size[::-1] for size in sizes)}")

    class Reel(Image.Image):
        n_frames = len(pictures)

        def seek(self, frame: int) -> None:
            if frame >= self.n_frames:
                raise EOFError("no more frames")
            with Image.open(io.BytesIO(pictures[frame])) as picture:
                self.im = picture.convert("RGB").im
            self._number = frame

        def tell(self) -> int:
            return self._number

    reel = Reel()
    reel._mode, reel._size = "RGB", sizes.pop()
    reel.seek(0)
    return reel
