"""Images of a honeycomb, drawn as blurred spots on noise."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Honeycomb:
    """An image of a honeycomb and where its sites are, x then y [px]."""

    image: np.ndarray
    atoms: np.ndarray
    rings: np.ndarray


def honeycomb(sampling, *, shape=(256, 256), bond=1.42, turn=0.2, strain=None, noise=0.1, seed=7):
    """Draw a honeycomb of a sampling [Å/px], turned [rad] and then strained by a matrix."""
    from scipy.ndimage import gaussian_filter

    step = np.sqrt(3) * bond / sampling
    reach = int(1.5 * max(shape) / step) + 2
    i, j = (index.ravel() for index in np.mgrid[-reach : reach + 1, -reach : reach + 1])
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    if strain is not None:
        matrix = matrix @ np.asarray(strain).T
    cells = np.stack([step * (i + j / 2), step * j * np.sqrt(3) / 2], axis=1)
    size = np.array(shape[::-1])

    def placed(shift):
        points = (cells + np.array([0, shift * bond / sampling])) @ matrix + size / 2 + 0.3
        return points[((points >= 0) & (points <= size - 1)).all(axis=1)]

    atoms, rings = np.concatenate([placed(1), placed(-1)]), placed(0)
    picture = np.zeros(shape)
    # Each spot is shared by four pixels.
    corner, part = np.floor(atoms).astype(int), atoms % 1
    for dx, dy in ((0, 0), (0, 1), (1, 0), (1, 1)):
        share = np.abs(1 - dx - part[:, 0]) * np.abs(1 - dy - part[:, 1])
        x, y = np.minimum(corner + np.array([dx, dy]), size - 1).T
        np.add.at(picture, (y, x), share)
    blurred = gaussian_filter(picture, 0.35 * bond / sampling, mode="nearest")
    image = blurred / blurred.std() + noise * np.random.default_rng(seed).normal(size=shape) + 20
    return Honeycomb(image.astype(np.float32), atoms, rings)
