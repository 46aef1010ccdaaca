"""Reading one micrograph, whatever microscope wrote it, and refusing what cannot be analysed."""

from __future__ import annotations

import hashlib
import logging
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from amorph2d.arrays import AnyArray, FloatArray
from amorph2d.micrographs.axes import axes_sampling, frame_times
from amorph2d.micrographs.contents import Content
from amorph2d.micrographs.errors import MicrographError
from amorph2d.micrographs.formats import Kind, kind_of
from amorph2d.micrographs.pixels import MINIMUM_SIDE, check_pixels, check_size
from amorph2d.micrographs.remote import RemoteFile, copy_here, find
from amorph2d.micrographs.selection import choose

__all__ = ["MINIMUM_SIDE", "Micrograph", "file_sha256", "read_micrograph"]

_READERS = ("rsciio", "tifffile", "PIL", "h5py", "zarr")


@dataclass(frozen=True, eq=False)
class Micrograph:
    """One image, or the frames of a series, and what the file says of them.

    Attributes
    ----------
    stem
        Name of the micrograph, which names its results.
    path
        The file.
    image
        Finite intensities as stored, (rows, columns): the image, or the first frame of a series. Float32, or
        for an image of 2²⁶ pixels or more that is stored as it is (dm3, dm4, mrc, ser, tif, npy) a read-only
        memory map of the type as stored, which may be of any real type and of either byte order.
    sampling
        Along y and x [Å/px], or None where the file has no calibration.
    sampling_source
        "file", or None where there is no sampling.
    sha256
        SHA-256 of the file.
    metadata
        `calibration`: what the file states of its sampling, or why that is none; `dtype`: type of the pixels
        as stored; `remarks`: what the reader warned of; `energy` [eV], `exposure` [s], `magnification` and
        `date` (ISO 8601) where the file gives them.
    n_frames
        1 for an image.
    times
        Of the frames since the first one [s], or None where the file does not state them.
    read_frame
        Reads and checks frame k of a series; None for an image.
    """

    stem: str
    path: Path
    image: AnyArray
    sampling: tuple[float, float] | None
    sampling_source: str | None
    sha256: str
    metadata: dict[str, Any] = field(default_factory=dict)
    n_frames: int = 1
    times: FloatArray | None = None
    read_frame: Callable[[int], AnyArray] | None = field(default=None, repr=False)

    def frame(self, k: int) -> AnyArray:
        """Return frame k, (rows, columns), of the types that `image` may have.

        It is read from the file when it is asked for and not kept, but for the first one.

        Raises
        ------
        IndexError
            If there is no such frame.
        MicrographError
            If the frame cannot be read or used: too large, not finite or without contrast.
        """
        if not 0 <= k < self.n_frames:
            raise IndexError(f"frame must be 0 … {self.n_frames - 1}, got {k}")
        return self.image if k == 0 or self.read_frame is None else self.read_frame(k)


@dataclass(frozen=True)
class _FrameReader:
    """Reads the frames of a series one by one."""

    name: str
    kind: Kind
    content: Content
    held: object  # what must stay there while frames are read

    def __call__(self, k: int) -> AnyArray:
        """Read frame k."""
        try:
            with _collected_remarks(), _named_errors(self.kind):
                return check_pixels(self.content.frame(k))
        except MicrographError as error:
            raise MicrographError(f"frame {k} of {self.name} {error}") from error.__cause__


def read_micrograph(path: str | Path | RemoteFile) -> Micrograph:
    """Read one micrograph.

    Parameters
    ----------
    path
        A file of one of the kinds in `amorph2d.micrographs.formats.KINDS`, or the address of one that fsspec
        knows; such a file is copied to a temporary file, which goes with the micrograph.

    Returns
    -------
    Micrograph
        The image or series with its calibration, if it has one. Of a series the first frame is checked here,
        the others when they are read.

    Raises
    ------
    MicrographError
        If the file cannot be read, is not one grey image or series in real space, is smaller than 32 px a
        side, or has pixels that are all equal or not finite. The message names the file, what is wrong and
        what is right.
    """
    where = _found(path) if isinstance(path, str) else path
    if isinstance(where, Path):
        return _read_here(where, where, None)
    copy = copy_here(where)
    try:
        micrograph = _read_here(copy.path, where.path, copy)
    except MicrographError:
        copy.remove()
        raise
    if micrograph.read_frame is None and not isinstance(micrograph.image, np.memmap):
        copy.remove()
    return micrograph


def _found(address: str) -> Path | RemoteFile:
    """Find what an address means."""
    try:
        return find(address)
    except (ValueError, ImportError, OSError) as error:
        raise MicrographError(f"{address} cannot be opened ({error})") from error


def _read_here(path: Path, named: Path, held: object) -> Micrograph:
    """Read a micrograph on this machine under the name it has."""
    try:
        with _collected_remarks() as remarks:
            kind, sha256, stored = _identify(path)
            with _named_errors(kind):
                content = choose(kind.open(path))
                shape = _image_shape(content)
                check_size(shape, int(np.prod(shape, dtype=object)) * content.dtype.itemsize, stored)
                sampling, calibration = axes_sampling(content.image_axes)
                data = content.frame(0)
                image = check_pixels(data)
    except MicrographError as error:
        raise MicrographError(f"{named.name} {error}") from error.__cause__
    metadata: dict[str, Any] = {
        "calibration": calibration,
        "dtype": str(data.dtype),
        "remarks": tuple(dict.fromkeys(remarks)),
    } | dict(content.metadata)
    source = None if sampling is None else "file"
    given = named.stem, named, image, sampling, source, sha256, metadata
    if len(content.squeezed) < 3 or content.is_colour:
        return Micrograph(*given)
    n_frames = content.squeezed[0]
    times = content.times if content.times is not None else frame_times(content.frame_axis, n_frames)
    reader = _FrameReader(named.name, kind, content, held)
    return Micrograph(*given, n_frames=n_frames, times=times, read_frame=reader)


def _image_shape(content: Content) -> tuple[int, ...]:
    """Return the rows and columns of the image of a content, whether its colours come first or last."""
    shape = content.squeezed
    return shape[:2] if content.is_colour and shape[0] not in (3, 4) else shape[-2:]


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, read piece by piece; of a folder, that of its files by their names."""
    if not path.is_dir():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    whole = hashlib.sha256()
    for part in sorted(part for part in path.rglob("*") if part.is_file()):
        whole.update(f"{part.relative_to(path).as_posix()}\0{file_sha256(part)}\0".encode())
    return whole.hexdigest()


def _identify(path: Path) -> tuple[Kind, str, int]:
    """Return the kind of a file, its SHA-256, and its size in bytes."""
    try:
        kind = kind_of(path)
        parts = [path] if not path.is_dir() else [part for part in path.rglob("*") if part.is_file()]
        return kind, file_sha256(path), sum(part.stat().st_size for part in parts)
    except OSError as error:
        raise MicrographError(f"cannot be opened: {error.strerror or error}") from error


@contextmanager
def _named_errors(kind: Kind) -> Iterator[None]:
    """Make a `MicrographError` of whatever a reader raises."""
    try:
        yield
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
