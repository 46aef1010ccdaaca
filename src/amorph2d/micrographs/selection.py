"""Which of the arrays of a file is the image or series to analyse, and why another is not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from amorph2d.micrographs.contents import Content, sides
from amorph2d.micrographs.errors import MicrographError

_SPECTRA = {
    "EELS": "electron energy losses (EELS)",
    "EDS_TEM": "X-rays (EDS)",
    "EDS_SEM": "X-rays (EDS)",
    "CL": "cathodoluminescence",
}


def choose(contents: Sequence[Content]) -> Content:
    """Return the one content that is a grey image or a series of such; thumbnails do not count.

    Raises
    ------
    MicrographError
        If there is none, or more than one.
    """
    images = [content for content in contents if refusal(content) is None]
    largest = max((np.prod(image.squeezed[-2:], dtype=object) for image in images), default=0)
    images = [image for image in images if 4 * np.prod(image.squeezed[-2:], dtype=object) > largest]
    if len(images) == 1:
        return images[0]
    if images:
        named = ", ".join(f"{image.title or 'untitled'} {sides(image.squeezed)}" for image in images)
        raise MicrographError(
            f"holds {len(images)} images ({named}); export the one to analyse to a file of its own"
        )
    if not contents:
        raise MicrographError("holds no image")
    if contents[0].is_colour and len(contents[0].squeezed) == 3 and not contents[0].dtype.names:
        return contents[0]  # may be grey, stored as colour
    raise MicrographError(refusal(contents[0]))


def refusal(content: Content) -> str | None:
    """Say why a content is neither a grey image nor a series of such; None where it is."""
    shape = content.squeezed
    if content.is_colour:
        return "is a colour image; convert it to grey"
    if content.dtype.kind == "c":
        return f"is complex ({content.dtype}); save the intensity, or the modulus of the wave, as an image"
    if content.dtype.kind not in "biuf":
        return f"does not hold numbers but {content.dtype}; an image of integers or floats is needed"
    if "diffraction" in content.signal.lower():
        return f"is a diffraction pattern (signal type {content.signal!r}); an image in real space is needed"
    energy = next((axis for axis in content.axes if axis.is_energy), None)
    of_what = _SPECTRA.get(content.signal, "spectra")
    if energy is not None and len(shape) > 1:
        return (
            f"is not an image in real space but a map of {of_what}: its {energy.name or 'first'} axis is in "
            f"{energy.unit!r}; save the image as a file of its own"
        )
    if not shape:
        return "holds a single number; an image is needed"
    if len(shape) < 2:
        n = int(np.prod(shape))
        return f"is {len(shape)}-D with {n} values, like a spectrum; an image is needed"
    if len(shape) > 3:
        return (
            f"holds {len(shape)}-D data (shape {content.shape}), like 4D-STEM; an image or a series of "
            "images is needed"
        )
    if content.n_signal == 1 and (len(shape) == 3 or content.signal in _SPECTRA):
        return f"is a map of {of_what} (shape {content.shape}), not an image or a series of images"
    return None
