"""Seeds of rings: random, relaxed towards a crystal, and polycrystalline."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.random import Generator
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from amorph2d.arrays import FloatArray, IntArray, as_points
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
    # A cell is so small that it holds one seed at most.
    counts = np.ceil(edges * np.sqrt(2) / spacing).astype(np.int64)
    seeds = np.full((*counts, 2), np.nan)
    active, parts = np.indices(counts.tolist()).reshape(2, -1).T, 1
    while len(active):
        darts = rng.random((_DARTS_PER_LEVEL, len(active), 2))
        for dart in darts:
            _throw(seeds, rng.permutation(active), parts, dart, edges, spacing)
        parts *= 2
        active = _with_room(seeds, (2 * active[:, None] + _QUARTERS).reshape(-1, 2), parts, edges, spacing)
    return wrap(seeds[np.isfinite(seeds[..., 0])], edges)


@njit(cache=True)
def _nearest(
    seeds: FloatArray, column: int, row: int, x: float, y: float, box: FloatArray
) -> float:  # pragma: no cover
    """Squared distance of a point in a cell to the nearest seed in the cells around it, 2 to each side."""
    n_columns, n_rows = seeds.shape[:2]
    nearest = np.inf
    for i in range(column - 2, column + 3):
        for j in range(row - 2, row + 3):
            seed = seeds[i % n_columns, j % n_rows]
            if np.isnan(seed[0]):
                continue
            dx, dy = x - seed[0], y - seed[1]
            dx -= box[0] * np.rint(dx / box[0])
            dy -= box[1] * np.rint(dy / box[1])
            nearest = min(nearest, dx * dx + dy * dy)
    return nearest


@njit(cache=True)
def _throw(
    seeds: FloatArray, active: IntArray, parts: int, darts: FloatArray, box: FloatArray, spacing: float
) -> None:  # pragma: no cover
    """Throw one dart into every active part of a cell; it stays if no seed is too close."""
    width, height = box[0] / seeds.shape[0] / parts, box[1] / seeds.shape[1] / parts
    for k in range(len(active)):
        column, row = active[k, 0] // parts, active[k, 1] // parts
        if not np.isnan(seeds[column, row, 0]):
            continue
        x, y = (active[k, 0] + darts[k, 0]) * width, (active[k, 1] + darts[k, 1]) * height
        if _nearest(seeds, column, row, x, y, box) >= spacing * spacing:
            seeds[column, row, 0], seeds[column, row, 1] = x, y


@njit(cache=True)
def _with_room(
    seeds: FloatArray, active: IntArray, parts: int, box: FloatArray, spacing: float
) -> IntArray:  # pragma: no cover
    """Return the parts of cells that one seed alone does not cover."""
    width, height = box[0] / seeds.shape[0] / parts, box[1] / seeds.shape[1] / parts
    reach = np.hypot(width, height) / 2
    is_kept = np.zeros(len(active), dtype=np.bool_)
    for k in range(len(active)):
        column, row = active[k, 0] // parts, active[k, 1] // parts
        if np.isnan(seeds[column, row, 0]):
            x, y = (active[k, 0] + 0.5) * width, (active[k, 1] + 0.5) * height
            is_kept[k] = np.sqrt(_nearest(seeds, column, row, x, y, box)) + reach >= spacing
    return active[is_kept]


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
