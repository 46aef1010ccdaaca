"""Reading one micrograph, whatever microscope wrote it, and refusing what cannot be analysed."""

from __future__ import annotations

import hashlib
import logging
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from amorph2d.arrays import AnyArray, Float32Array
from amorph2d.micrographs.axes import axes_sampling
from amorph2d.micrographs.errors import MicrographError
from amorph2d.micrographs.formats import Content, Pixels, kind_of

MINIMUM_SIDE = 32
"""Smallest side of an image that can be analysed [px]."""

_READERS = ("rsciio", "tifffile", "PIL", "h5py")


@dataclass(frozen=True, eq=False)
class Micrograph:
    """One image and what its file says of it.

    Attributes
    ----------
    stem
        Name of the micrograph, which names its results.
    path
        The file.
    image
        Finite intensities as stored, (rows, columns).
    sampling
        Along y and x [Å/px], or None where the file has no calibration.
    sampling_source
        "file", or None where there is no sampling.
    sha256
        SHA-256 of the file.
    metadata
        `calibration`: what the file states of its sampling, or why that is none; `dtype`: type of the pixels
        as stored; `remarks`: what the reader warned of; `energy` [eV] where the file gives it.
    """

    stem: str
    path: Path
    image: Float32Array
    sampling: tuple[float, float] | None
    sampling_source: str | None
    sha256: str
    metadata: dict[str, Any] = field(default_factory=dict)


def read_micrograph(path: str | Path) -> Micrograph:
    """Read one micrograph.

    Parameters
    ----------
    path
        A file of one of the kinds in `amorph2d.micrographs.formats.KINDS`.

    Returns
    -------
    Micrograph
        The image with its calibration, if it has one.

    Raises
    ------
    MicrographError
        If the file cannot be read, is not one grey image in real space, is smaller than 32 px a side, or has
        pixels that are all equal or not finite. The message names the file, what is wrong and what is right.
    """
    path = Path(path)
    try:
        with _collected_remarks() as remarks:
            pixels, sha256 = _read(path)
        image = _grey_image(pixels.data)
        sampling, calibration = axes_sampling(pixels.axes)
    except MicrographError as error:
        raise MicrographError(f"{path.name} {error}") from error.__cause__
    metadata: dict[str, Any] = {
        "calibration": calibration,
        "dtype": str(pixels.data.dtype),
        "remarks": tuple(dict.fromkeys(remarks)),
    }
    if pixels.energy is not None:
        metadata["energy"] = pixels.energy
    source = None if sampling is None else "file"
    return Micrograph(path.stem, path, image, sampling, source, sha256, metadata)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path) -> tuple[Pixels, str]:
    """Read the one image of a file, and the file's SHA-256."""
    try:
        kind = kind_of(path)
        sha256 = file_sha256(path)
    except OSError as error:
        raise MicrographError(f"cannot be opened: {error.strerror or error}") from error
    try:
        return _only_image(kind.open(path)).read(), sha256
    except MicrographError:
        raise
    except MemoryError as error:
        raise MicrographError("does not fit into memory") from error
    # A reader may raise anything on a damaged file (struct, zlib, SyntaxError …); none may stop the others.
    except Exception as error:
        traceback.clear_frames(error.__traceback__)  # some readers leave the file open there
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise MicrographError(
            f"could not be read as {kind.name} ({reason}); it may be damaged, cut short or of another kind"
        ) from error


def _only_image(contents: list[Content]) -> Content:
    """Return the one content that is a grey image; thumbnails of it do not count."""
    images = [content for content in contents if len(content.squeezed) == 2 and content.dtype.kind in "biuf"]
    largest = max((np.prod(image.shape) for image in images), default=0)
    images = [image for image in images if 4 * np.prod(image.shape) > largest]
    if len(images) == 1:
        return images[0]
    if images:
        named = ", ".join(f"{image.title or 'untitled'} {_sides(image.squeezed)}" for image in images)
        raise MicrographError(
            f"holds {len(images)} images ({named}); export the one to analyse to a file of its own"
        )
    if not contents:
        raise MicrographError("holds no image")
    if contents[0].is_colour and len(contents[0].squeezed) == 3 and not contents[0].dtype.names:
        return contents[0]  # may be grey, stored as colour
    raise MicrographError(_what_else(contents[0]))


def _sides(shape: tuple[int, ...]) -> str:
    """Put a shape into words."""
    return " × ".join(str(n) for n in shape) + " px"


def _what_else(content: Content) -> str:
    """Why a content is not a grey image."""
    shape = content.squeezed
    if content.is_colour:
        return "is a colour image; convert it to grey"
    if content.dtype.kind == "c":
        return f"is complex ({content.dtype}); save the intensity, or the modulus of the wave, as an image"
    if content.dtype.kind not in "biuf":
        return f"does not hold numbers but {content.dtype}; an image of integers or floats is needed"
    if len(shape) < 2:
        return f"is {len(shape)}-D with {int(np.prod(shape))} values, like a spectrum; an image is needed"
    frames = f"{shape[0]} frames of {_sides(shape[1:])}" if len(shape) == 3 else f"{len(shape)}-D data"
    return (
        f"holds {frames} (shape {content.shape}), and series are not analysed yet; save single frames, "
        "or the mean of the aligned frames, as files of their own"
    )


def _grey_image(data: AnyArray) -> Float32Array:
    """Check the pixels of an image and return them as float32."""
    data = _without_colour(data.squeeze())
    if min(data.shape) < MINIMUM_SIDE:
        raise MicrographError(
            f"is too small: {_sides(data.shape)}; at least {MINIMUM_SIDE} px a side are needed"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        image = np.ascontiguousarray(data, dtype=np.float32)
    bad = int(image.size - np.count_nonzero(np.isfinite(image)))
    if bad:
        raise MicrographError(
            f"has {bad} of {image.size} pixels that are NaN or infinite; replace or crop them"
        )
    if image.min() == image.max():
        raise MicrographError(f"has no contrast: all its pixels are {image.flat[0]:g}")
    return image


def _without_colour(data: AnyArray) -> AnyArray:
    """One channel of pixels whose colours are all grey."""
    if data.ndim == 2:
        return data
    # Planar files have the channels first.
    channels = np.moveaxis(data, 0, -1) if data.shape[0] in (3, 4) and data.shape[-1] not in (3, 4) else data
    if channels.shape[-1] not in (3, 4):
        raise MicrographError(f"has {channels.shape[-1]} channels a pixel; convert it to grey")
    if any(not np.array_equal(channels[..., 0], channels[..., k]) for k in (1, 2)):
        raise MicrographError("is a colour image; convert it to grey")
    return channels[..., 0]


@contextmanager
def _collected_remarks() -> Iterator[list[str]]:
    """Keep the readers' warnings and log messages from the user's screen, and collect them."""
    remarks: list[str] = []
    handler = _Collector(remarks)
    loggers = [logging.getLogger(name) for name in _READERS]
    before = [logger.propagate for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield remarks
        kinds = (UserWarning, RuntimeWarning)
        remarks += [str(warning.message) for warning in caught if issubclass(warning.category, kinds)]
    finally:
        for logger, propagate in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.propagate = propagate


class _Collector(logging.Handler):
    """Collects messages of level WARNING and above."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        self._messages.append(record.getMessage())
