"""Files that are not on this machine's disks: found with fsspec, and copied here to be read."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from amorph2d.micrographs.contents import Held
from amorph2d.micrographs.errors import MicrographError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_LOCAL = ("file://", "local://")


@dataclass(frozen=True)
class RemoteFile:
    """A file or folder of a file system that fsspec knows.

    Attributes
    ----------
    filesystem
        Where it is.
    location
        Where it is in there.
    """

    filesystem: AbstractFileSystem = field(repr=False)
    location: str

    @property
    def path(self) -> Path:
        """A path with its name; there is no such file on this machine."""
        protocol = self.filesystem.protocol
        name = protocol if isinstance(protocol, str) else protocol[0]
        return Path(f"{name}:") / self.location.lstrip("/")

    @property
    def name(self) -> str:
        """Its name without the folder."""
        return PurePosixPath(self.location).name

    def beside(self, name: str) -> RemoteFile:
        """Return the file of another name in the same folder."""
        return RemoteFile(self.filesystem, str(PurePosixPath(self.location).with_name(name)))

    def is_file(self) -> bool:
        """Say whether it is there, and a file."""
        return bool(self.filesystem.isfile(self.location))


@dataclass(frozen=True, eq=False)
class Copy:
    """A copy of a remote file, which goes when this object does.

    Attributes
    ----------
    path
        The copy.
    """

    path: Path
    held: Held

    def remove(self) -> None:
        """Remove it now."""
        self.held.close()


def copy_here(remote: RemoteFile) -> Copy:
    """Copy a remote file, or a folder that stands for one, to a temporary file.

    Raises
    ------
    MicrographError
        If it cannot be fetched.
    """
    folder = Path(tempfile.mkdtemp(prefix="amorph2d-"))
    held = Held(lambda: shutil.rmtree(folder, ignore_errors=True))
    path = folder / remote.name
    try:
        remote.filesystem.get(remote.location, str(path), recursive=remote.filesystem.isdir(remote.location))
    except Exception as error:  # each file system has errors of its own
        held.close()
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise MicrographError(f"{remote.name} cannot be fetched ({reason})") from error
    return Copy(path, held)


def find(address: str, options: Mapping[str, Any] | None = None) -> Path | RemoteFile:
    """Return what an address means: a path on this machine, or a file elsewhere.

    Parameters
    ----------
    address
        A path, or an address that fsspec knows (``s3://…``, ``memory://…``, ``zip://…::…``).
    options
        Of the file system, such as credentials.

    Raises
    ------
    ValueError, ImportError
        If the kind of address is not known, or needs a package that is not installed.
    """
    if address.startswith(_LOCAL) and "::" not in address:
        return Path(address.split("://", 1)[1])
    if "://" not in address:
        return Path(address)
    from fsspec.core import url_to_fs

    filesystem, location = url_to_fs(address, **(options or {}))
    return RemoteFile(filesystem, str(location).rstrip("/"))
