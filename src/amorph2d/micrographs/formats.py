"""The kinds of microscope files that can be read, and what is in one of them."""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from amorph2d.micrographs.contents import Content
from amorph2d.micrographs.errors import MicrographError
from amorph2d.micrographs.pictures import open_npy, open_picture
from amorph2d.micrographs.signals import open_dm, open_emd, open_hspy, open_mrc, open_ser, open_zspy
from amorph2d.micrographs.tiffs import open_tiff

HDF5 = b"\x89HDF\r\n\x1a\n"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@dataclass(frozen=True)
class Kind:
    """A kind of file: its name, how it begins (if that is fixed), its reader, whether it may be a folder."""

    name: str
    heads: tuple[bytes, ...]
    open: Callable[[Path], list[Content]]
    may_be_folder: bool = False


KINDS: dict[str, Kind] = {
    ".dm3": Kind("DigitalMicrograph 3", (b"\0\0\0\3",), open_dm),
    ".dm4": Kind("DigitalMicrograph 4", (b"\0\0\0\4",), open_dm),
    ".emd": Kind("EMD", (HDF5,), open_emd),
    ".mrc": Kind("MRC", (), open_mrc),
    ".mrcs": Kind("MRC", (), open_mrc),
    ".ser": Kind("TIA series", (b"II\x97\1",), open_ser),
    ".tif": Kind("TIFF", _TIFF, open_tiff),
    ".tiff": Kind("TIFF", _TIFF, open_tiff),
    ".hspy": Kind("HyperSpy", (HDF5,), open_hspy),
    ".zspy": Kind("HyperSpy zarr", (b"PK\3\4",), open_zspy, may_be_folder=True),
    ".png": Kind("PNG", (b"\x89PNG\r\n\x1a\n",), open_picture),
    ".jpg": Kind("JPEG", (b"\xff\xd8\xff",), open_picture),
    ".jpeg": Kind("JPEG", (b"\xff\xd8\xff",), open_picture),
    ".bmp": Kind("BMP", (b"BM",), open_picture),
    ".npy": Kind("numpy array", (b"\x93NUMPY",), open_npy),
}
"""The kinds of files that can be read, by suffix in lower case."""


def kind_of(path: Path) -> Kind:
    """Return the kind of a file, from its suffix, and check that it begins as such files do.

    Raises
    ------
    MicrographError
        If the suffix is not known, it is no file, the file is empty, or it begins like another kind.
    OSError
        If it cannot be opened.
    """
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise MicrographError(
            f"is of an unknown kind (suffix {path.suffix!r}); export it as one of {', '.join(sorted(KINDS))}"
        )
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        if kind.may_be_folder:
            return kind
        raise MicrographError(f"is a folder, no {kind.name} file")
    if not stat.S_ISREG(mode):  # reading a pipe would wait for good
        raise MicrographError(f"is a pipe or a device, no {kind.name} file")
    with path.open("rb") as file:
        head = file.read(16)
    if not head:
        raise MicrographError("is empty (0 bytes)")
    if kind.heads and not head.startswith(kind.heads):
        like = sorted(
            {other.name for other in KINDS.values() if other.heads and head.startswith(other.heads)}
        )
        looks = f"it begins like a {' or '.join(like)} file" if like else f"it begins with {head!r}"
        raise MicrographError(f"is not a {kind.name} file, as its suffix {path.suffix!r} says: {looks}")
    return kind
