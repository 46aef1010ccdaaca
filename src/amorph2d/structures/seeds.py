"""Seeds of rings: random, relaxed towards a crystal, and polycrystalline."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from amorph2d.arrays import BoolArray, FloatArray, as_points
from amorph2d.structures.periodic import as_box, wrap
from amorph2d.structures.triangulation import (
    cell_areas_and_centroids,
    triangulate,
)

_MIN_BOX = 4.0  # [spacings]: below it a disk meets its own image
_DARTS_PER_LEVEL = 3
_QUARTERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
_IMAGES = np.array([[x, y] for x in range(-2, 3) for y in range(-2, 3)])  # the home image in the middle
_CLOSEST_IN_POLYCRYSTAL = 0.75  # [spacings]: two ring centres of graphene's grain boundaries are no closer


def poisson_disk_seeds(box: ArrayLike, *, spacing: float, rng: Generator) -> FloatArray:
    """Draw a maximal periodic Poisson disk sample.

    No two seeds are closer than `spacing`, and there is no room for another. A seed takes 1.43 `spacing`² of
    area on average: a spacing of 1.91 Å gives the density of graphene.

    Parameters
    ----------
    box
        Edge lengths along x and y, (2,) [Å].
    spacing
        Least distance of two seeds, > 0 and at most a quarter of the box [Å].
    rng
        Source of random numbers.

    Returns
    -------
    FloatArray
        Seeds, (N, 2), inside the box [Å].

    Raises
    ------
    ValueError
        If the box is smaller than four spacings.

    References
    ----------
    Ebeida et al., Computer Graphics Forum 31, 785 (2012), doi:10.1111/j.1467-8659.2012.03059.x: darts into
    the cells of a grid that is refined where there may still be room.
    """
    edges = as_box(box)
    _check_spacing(spacing, edges)
    seeds = np.empty((0, 2))
    counts = np.ceil(edges * np.sqrt(2) / spacing).astype(np.int64)
    cell, active = edges / counts, np.indices(counts.tolist()).reshape(2, -1).T
    while len(active):
        for _ in range(_DARTS_PER_LEVEL):
            darts = wrap((active + rng.random(active.shape)) * cell, edges)
            darts = rng.permutation(darts[_distances(darts, seeds, edges) >= spacing])
            seeds = np.concatenate([seeds, darts[_is_first(darts, edges, spacing)]])
        cell, active = cell / 2, (2 * active[:, None] + _QUARTERS).reshape(-1, 2)
        centres = wrap((active + 0.5) * cell, edges)
        active = active[_distances(centres, seeds, edges) + np.hypot(*cell) / 2 >= spacing]
    return seeds


def _distances(points: FloatArray, seeds: FloatArray, box: FloatArray) -> FloatArray:
    """Return the distance of every point to its nearest seed, infinite without seeds, (N,) [Å]."""
    if len(seeds) == 0:
        return np.full(len(points), np.inf)
    return np.asarray(cKDTree(seeds, boxsize=box).query(points)[0])


def _is_first(points: FloatArray, box: FloatArray, distance: float) -> BoolArray:
    """Say which points come before all others that are closer than `distance`, (N,)."""
    is_first = np.ones(len(points), dtype=bool)
    pairs = cKDTree(points, boxsize=box).query_pairs(distance, output_type="ndarray")
    is_first[pairs.max(axis=1, initial=-1)] = False
    return is_first


def relaxed_seeds(seeds: ArrayLike, box: ArrayLike, *, n_iterations: int) -> FloatArray:
    """Move seeds to the centroids of their Voronoi cells, again and again: more hexagons every time.

    Parameters
    ----------
    seeds
        Seeds, (N, 2) [Å].
    box
        Edge lengths along x and y, (2,) [Å].
    n_iterations
        How often the seeds move, ≥ 0.

    Raises
    ------
    ValueError
        If `n_iterations` is negative, or the box is too small for the seeds.

    References
    ----------
    Lloyd, IEEE Trans. Inf. Theory 28, 129 (1982), doi:10.1109/TIT.1982.1056489.
    """
    if n_iterations < 0:
        raise ValueError(f"n_iterations must be ≥ 0, got {n_iterations}")
    edges = as_box(box)
    points = wrap(as_points(seeds, "seeds"), edges)
    for _ in range(n_iterations):
        points = wrap(cell_areas_and_centroids(triangulate(points, edges))[1], edges)
    return points


def polycrystal_seeds(
    box: ArrayLike, *, spacing: float, n_grains: int, jitter: float, rng: Generator
) -> FloatArray:
    """Draw the ring centres of a polycrystal: Voronoi grains of randomly turned triangular lattices.

    One grain is a crystal with a boundary where the box closes.

    Parameters
    ----------
    box
        Edge lengths along x and y, (2,) [Å].
    spacing
        Distance of neighbouring ring centres, > 0 and at most a quarter of the box; 2.46 in graphene [Å].
    n_grains
        Grains in the box, ≥ 1.
    jitter
        Standard deviation of the seeds' displacement along x and along y, ≥ 0 [Å].
    rng
        Source of random numbers.

    Returns
    -------
    FloatArray
        Seeds, (N, 2), inside the box; none closer than 0.75 `spacing`, and no void that could take another
        seed one `spacing` away from all [Å].

    Raises
    ------
    ValueError
        If the box is smaller than four spacings, or another argument is out of its bounds.
    """
    edges = as_box(box)
    _check_spacing(spacing, edges)
    if n_grains < 1:
        raise ValueError(f"n_grains must be ≥ 1, got {n_grains}")
    if not (np.isfinite(jitter) and jitter >= 0):
        raise ValueError(f"jitter must be ≥ 0 Å, got {jitter}")
    centres = rng.random((n_grains, 2)) * edges
    reach = _grain_radii(centres, edges, spacing)
    grains = [
        _grain(centres, grain, edges, spacing=spacing, radius=reach[grain], rng=rng)
        for grain in range(n_grains)
    ]
    seeds = np.concatenate(grains)
    seeds = wrap(seeds + rng.normal(0.0, jitter, seeds.shape), edges)
    seeds = _thinned(seeds, edges, _CLOSEST_IN_POLYCRYSTAL * spacing, rng)
    return _filled(seeds, edges, spacing, rng)


def _check_spacing(spacing: float, box: FloatArray) -> None:
    if not (np.isfinite(spacing) and spacing > 0):
        raise ValueError(f"spacing must be > 0 Å, got {spacing}")
    if (box < _MIN_BOX * spacing).any():
        raise ValueError(
            f"box must be at least {_MIN_BOX:g} × spacing = {_MIN_BOX * spacing:g} Å, got {box.tolist()}"
        )


def _grain_radii(centres: FloatArray, box: FloatArray, step: float) -> FloatArray:
    """Return how far each periodic Voronoi cell reaches from its centre, up to `step` too much, (G,) [Å]."""
    counts = np.ceil(box / step).astype(np.int64)
    samples = wrap((np.indices(counts.tolist()).reshape(2, -1).T + 0.5) * box / counts, box)
    distance, owner = cKDTree(centres, boxsize=box).query(samples)
    radii = np.zeros(len(centres))
    np.maximum.at(radii, owner, distance)
    return radii + step


def _grain(
    centres: FloatArray, grain: int, box: FloatArray, *, spacing: float, radius: float, rng: Generator
) -> FloatArray:
    """Return the points of a randomly turned and shifted triangular lattice in one Voronoi cell [Å]."""
    angle = rng.uniform(0.0, np.pi / 3)
    basis = spacing * np.array([[np.cos(angle + turn), np.sin(angle + turn)] for turn in (0.0, np.pi / 3)])
    n = int(np.ceil(radius / (spacing * np.sqrt(0.75)))) + 1
    steps = np.stack(np.meshgrid(np.arange(-n, n + 1), np.arange(-n, n + 1)), axis=-1).reshape(-1, 2)
    local = (steps + rng.random(2)) @ basis
    local = local[np.hypot(*local.T) <= radius]
    # Nearest to this very image of the centre: then no point of the grain overlaps its own images.
    rivals = (centres[:, None] + _IMAGES * box - centres[grain]).reshape(-1, 2)
    nearest = cKDTree(rivals).query(local)[1]
    return local[nearest == grain * len(_IMAGES) + len(_IMAGES) // 2] + centres[grain]


def _thinned(points: FloatArray, box: FloatArray, distance: float, rng: Generator) -> FloatArray:
    """Return a random maximal subset of points no two of which are closer than `distance`."""
    points = rng.permutation(points)
    while True:
        pairs = cKDTree(points, boxsize=box).query_pairs(distance, output_type="ndarray")
        if len(pairs) == 0:
            return points
        # A point that comes first in all its pairs stays, its partners go; others wait for the next round.
        is_first = np.ones(len(points), dtype=bool)
        is_first[pairs.max(axis=1)] = False
        is_kept = np.ones(len(points), dtype=bool)
        is_kept[pairs.max(axis=1)[is_first[pairs.min(axis=1)]]] = False
        points = points[is_kept]


def _filled(points: FloatArray, box: FloatArray, distance: float, rng: Generator) -> FloatArray:
    """Return the points and more, as far from all others as possible, until no void takes another."""
    while True:
        triangulation = triangulate(points, box)
        voids = triangulation.circumcentres[triangulation.circumradii >= distance]
        if len(voids) == 0:
            return points
        points = np.concatenate([points, _thinned(wrap(voids, box), box, distance, rng)])


def without_small_rings(seeds: ArrayLike, box: ArrayLike, *, min_size: int) -> FloatArray:
    """Remove seeds whose rings would have fewer than `min_size` atoms, until there is none.

    Amorphous carbon has practically no rings of three or four atoms. Each removal opens a void that the
    relaxation closes.

    Parameters
    ----------
    seeds
        Seeds, (N, 2) [Å].
    box
        Edge lengths along x and y, (2,) [Å].
    min_size
        Atoms in the smallest ring that may stay, 3 to 5.

    Raises
    ------
    ValueError
        If `min_size` is out of its bounds, or the box is too small for the seeds.
    """
    if min_size not in (3, 4, 5):
        raise ValueError(f"min_size must be 3, 4 or 5, got {min_size}")
    edges = as_box(box)
    points = wrap(as_points(seeds, "seeds"), edges)
    while True:
        corners = triangulate(points, edges).corners
        sizes = np.bincount(corners.ravel(), minlength=len(points))
        is_small = sizes < min_size
        if not is_small.any():
            return points
        # Of neighbouring small rings only the first goes in one round, as its removal changes the others.
        order = np.where(is_small, np.arange(len(points)), len(points))
        first = np.full(len(points), len(points))
        np.minimum.at(first, corners.ravel(), np.repeat(order[corners].min(axis=1), 3))
        points = points[~(is_small & (order == first))]
