"""Damped Gauss-Newton steps of amplitudes and positions, from the overlaps of neighbouring atoms."""

from __future__ import annotations

import numpy as np
from numba import njit

from amorph2d.arrays import Float32Array, FloatArray, IntArray

_LEAST_PIVOT = 0.02  # share of an atom's own information that its neighbours leave at least


@njit(cache=True, nogil=True)
def pairs_within(positions: FloatArray, reach: float) -> IntArray:  # pragma: no cover
    """Return index pairs i < j of positions closer than `reach`, (B, 2)."""
    n = len(positions)
    if n == 0:
        return np.empty((0, 2), np.int64)
    low_x, low_y = positions[:, 0].min(), positions[:, 1].min()
    n_x = int((positions[:, 0].max() - low_x) / reach) + 1
    n_y = int((positions[:, 1].max() - low_y) / reach) + 1
    cell = np.empty(n, np.int64)
    counts = np.zeros(n_x * n_y + 1, np.int64)
    for i in range(n):
        cell[i] = int((positions[i, 1] - low_y) / reach) * n_x + int((positions[i, 0] - low_x) / reach)
        counts[cell[i] + 1] += 1
    starts = np.cumsum(counts)
    order, fill = np.empty(n, np.int64), starts[:-1].copy()
    for i in range(n):
        order[fill[cell[i]]] = i
        fill[cell[i]] += 1
    pairs = np.empty((max(16, 16 * n), 2), np.int64)
    n_pairs = 0
    for i in range(n):
        row, column = cell[i] // n_x, cell[i] % n_x
        for r in range(max(row - 1, 0), min(row + 2, n_y)):
            for c in range(max(column - 1, 0), min(column + 2, n_x)):
                for k in range(starts[r * n_x + c], starts[r * n_x + c + 1]):
                    j = order[k]
                    if j <= i:
                        continue
                    x, y = positions[i, 0] - positions[j, 0], positions[i, 1] - positions[j, 1]
                    if x * x + y * y < reach * reach:
                        if n_pairs == len(pairs):
                            pairs = np.concatenate((pairs, np.empty_like(pairs)))
                        pairs[n_pairs, 0], pairs[n_pairs, 1] = i, j
                        n_pairs += 1
    return pairs[:n_pairs]


@njit(cache=True, nogil=True)
def _look_up(table: Float32Array, x: float, y: float, result: FloatArray) -> None:  # pragma: no cover
    """Interpolate the table linearly at node (y, x) from its middle."""
    half = (table.shape[0] - 1) // 2
    column, row = int(np.floor(x)), int(np.floor(y))
    u, v = x - column, y - row
    column, row = column + half, row + half
    for t in range(6):
        upper = (1 - u) * table[row, column, t] + u * table[row, column + 1, t]
        lower = (1 - u) * table[row + 1, column, t] + u * table[row + 1, column + 1, t]
        result[t] = (1 - v) * upper + v * lower


@njit(cache=True, nogil=True)
def normal_blocks(  # pragma: no cover
    positions: FloatArray,
    amplitudes: FloatArray,
    weights: FloatArray,
    pairs: IntArray,
    table: Float32Array,
    step: float,
    precision: FloatArray,
) -> tuple[Float32Array, Float32Array]:
    """Return the 3 × 3 blocks of (amplitude, x, y) of atoms, prior included, and of pairs.

    The information on an atom is scaled by its weight, that on a pair by the geometric mean of both.
    """
    n, half = len(positions), (table.shape[0] - 1) // 2
    diagonal, off = np.zeros((n, 3, 3), np.float32), np.empty((len(pairs), 3, 3), np.float32)
    centre = table[half, half]
    for i in range(n):
        a, w = amplitudes[i], weights[i]
        diagonal[i, 0, 0] = w * centre[0] + precision[i, 0]
        diagonal[i, 1, 1] = -w * a * a * centre[3] + precision[i, 1]
        diagonal[i, 2, 2] = -w * a * a * centre[5] + precision[i, 2]
        diagonal[i, 1, 2] = diagonal[i, 2, 1] = -w * a * a * centre[4]
    h = np.empty(6)
    for p in range(len(pairs)):
        i, j = pairs[p]
        w = np.sqrt(weights[i] * weights[j])
        x = (positions[i, 0] - positions[j, 0]) / step
        y = (positions[i, 1] - positions[j, 1]) / step
        _look_up(table, x, y, h)
        a, b = w * amplitudes[i], amplitudes[j]
        off[p, 0, 0] = w * h[0]
        off[p, 0, 1], off[p, 0, 2] = -w * b * h[1], -w * b * h[2]
        off[p, 1, 0], off[p, 2, 0] = a * h[1], a * h[2]
        off[p, 1, 1], off[p, 2, 2] = -a * b * h[3], -a * b * h[5]
        off[p, 1, 2] = off[p, 2, 1] = -a * b * h[4]
    return diagonal, off


@njit(cache=True, nogil=True)
def _multiply(  # pragma: no cover
    diagonal: Float32Array, pairs: IntArray, off: Float32Array, vector: FloatArray, result: FloatArray
) -> None:
    """Multiply the normal matrix with a vector (N, 3); the sums are written out, which is far faster."""
    for i in range(len(diagonal)):
        a0, a1, a2 = vector[i, 0], vector[i, 1], vector[i, 2]
        for s in range(3):
            result[i, s] = diagonal[i, s, 0] * a0 + diagonal[i, s, 1] * a1 + diagonal[i, s, 2] * a2
    for p in range(len(pairs)):
        i, j = pairs[p, 0], pairs[p, 1]
        a0, a1, a2 = vector[i, 0], vector[i, 1], vector[i, 2]
        b0, b1, b2 = vector[j, 0], vector[j, 1], vector[j, 2]
        m00, m01, m02 = off[p, 0, 0], off[p, 0, 1], off[p, 0, 2]
        m10, m11, m12 = off[p, 1, 0], off[p, 1, 1], off[p, 1, 2]
        m20, m21, m22 = off[p, 2, 0], off[p, 2, 1], off[p, 2, 2]
        result[i, 0] += m00 * b0 + m01 * b1 + m02 * b2
        result[i, 1] += m10 * b0 + m11 * b1 + m12 * b2
        result[i, 2] += m20 * b0 + m21 * b1 + m22 * b2
        result[j, 0] += m00 * a0 + m10 * a1 + m20 * a2
        result[j, 1] += m01 * a0 + m11 * a1 + m21 * a2
        result[j, 2] += m02 * a0 + m12 * a1 + m22 * a2


@njit(cache=True, nogil=True)
def _inverse(blocks: Float32Array) -> FloatArray:  # pragma: no cover
    """Return the inverses of symmetric 3 × 3 blocks, by their cofactors."""
    result = np.empty(blocks.shape, np.float64)
    for i in range(len(blocks)):
        a, b, c = np.float64(blocks[i, 0, 0]), np.float64(blocks[i, 0, 1]), np.float64(blocks[i, 0, 2])
        d, e, f = np.float64(blocks[i, 1, 1]), np.float64(blocks[i, 1, 2]), np.float64(blocks[i, 2, 2])
        df, cf, be = d * f - e * e, c * e - b * f, b * e - c * d
        scale = 1 / (a * df + b * cf + c * be)
        result[i, 0, 0] = df * scale
        result[i, 0, 1] = result[i, 1, 0] = cf * scale
        result[i, 0, 2] = result[i, 2, 0] = be * scale
        result[i, 1, 1] = (a * f - c * c) * scale
        result[i, 1, 2] = result[i, 2, 1] = (b * c - a * e) * scale
        result[i, 2, 2] = (a * d - b * b) * scale
    return result


@njit(cache=True, nogil=True)
def solve(  # pragma: no cover
    diagonal: Float32Array, pairs: IntArray, off: Float32Array, gradient: FloatArray, n_iterations: int
) -> FloatArray:
    """Return the step (N, 3) by conjugate gradients, preconditioned with the inverse blocks of the atoms."""
    inverse = _inverse(diagonal)
    solution, rest = np.zeros_like(gradient), gradient.copy()
    z, product = np.empty_like(gradient), np.empty_like(gradient)
    direction = np.zeros_like(gradient)
    before = 0.0
    for iteration in range(n_iterations):
        for i in range(len(z)):
            for s in range(3):
                z[i, s] = (
                    inverse[i, s, 0] * rest[i, 0]
                    + inverse[i, s, 1] * rest[i, 1]
                    + inverse[i, s, 2] * rest[i, 2]
                )
        now = np.sum(rest * z)
        if now <= 0.0:
            break
        factor = now / before if iteration else 0.0
        direction = z + factor * direction
        _multiply(diagonal, pairs, off, direction, product)
        curvature = np.sum(direction * product)
        if curvature <= 0.0:
            break
        solution += now / curvature * direction
        rest -= now / curvature * product
        before = now
    return solution


@njit(cache=True, nogil=True)
def covariances(  # pragma: no cover
    positions: FloatArray, pairs: IntArray, diagonal: Float32Array, off: Float32Array, reach: float
) -> FloatArray:
    """Return the covariance of each atom, (N, 3, 3); neighbours closer than `reach` are unknown as well."""
    n = len(positions)
    n_neighbours = np.zeros(n + 1, np.int64)
    for p in range(len(pairs)):
        n_neighbours[pairs[p, 0] + 1] += 1
        n_neighbours[pairs[p, 1] + 1] += 1
    starts = np.cumsum(n_neighbours)
    fill = starts[:-1].copy()
    neighbour, number = np.empty(starts[-1], np.int64), np.empty(starts[-1], np.int64)
    for p in range(len(pairs)):
        i, j = pairs[p]
        neighbour[fill[i]], number[fill[i]] = j, p + 1
        neighbour[fill[j]], number[fill[j]] = i, -(p + 1)
        fill[i] += 1
        fill[j] += 1
    cluster = np.empty(n, np.int64)
    result = np.empty((n, 3, 3))
    place = np.full(n, -1)
    for i in range(n):
        size = 0
        for k in range(starts[i], starts[i + 1]):
            j = neighbour[k]
            x, y = positions[i, 0] - positions[j, 0], positions[i, 1] - positions[j, 1]
            if x * x + y * y < reach * reach:
                cluster[size], place[j] = j, size
                size += 1
        # The atom itself comes last: its covariance is the inverse of the last block of the Cholesky factor.
        cluster[size], place[i] = i, size
        size += 1
        matrix = np.zeros((3 * size, 3 * size))
        for k in range(size):
            j = cluster[k]
            matrix[3 * k : 3 * k + 3, 3 * k : 3 * k + 3] = diagonal[j]
            for m in range(starts[j], starts[j + 1]):
                other, p = place[neighbour[m]], number[m]
                if other <= k:
                    continue
                for s in range(3):
                    for t in range(3):
                        # `number` > 0: j is the first of the pair.
                        value = off[p - 1, s, t] if p > 0 else off[-p - 1, t, s]
                        matrix[3 * k + s, 3 * other + t] = value
        _cholesky(matrix)
        _last_block(matrix, result[i])
        for k in range(size):
            place[cluster[k]] = -1
    return result


@njit(cache=True, nogil=True)
def _cholesky(matrix: FloatArray) -> None:  # pragma: no cover
    """Replace the upper triangle by the transposed Cholesky factor, row by row.

    What the rest determines to less than rounding is taken as known.
    """
    n = len(matrix)
    for j in range(n):
        own = matrix[j, j]
        for k in range(j):
            factor = matrix[k, j]
            if factor != 0.0:
                for i in range(j, n):
                    matrix[j, i] -= factor * matrix[k, i]
        if matrix[j, j] < _LEAST_PIVOT * own:
            matrix[j, j:] = 0.0
            matrix[j, j] = np.sqrt(own)
        else:
            scale = 1 / np.sqrt(matrix[j, j])
            for i in range(j, n):
                matrix[j, i] *= scale


@njit(cache=True, nogil=True)
def _last_block(upper: FloatArray, result: FloatArray) -> None:  # pragma: no cover
    """Fill in the last 3 × 3 block of (UᵀU)⁻¹, U an upper triangle: R Rᵀ, R the inverse of its last block."""
    n = len(upper)
    a, b, c = upper[n - 3, n - 3], upper[n - 3, n - 2], upper[n - 3, n - 1]
    d, e, f = upper[n - 2, n - 2], upper[n - 2, n - 1], upper[n - 1, n - 1]
    r00, r11, r22 = 1 / a, 1 / d, 1 / f
    r01, r12 = -b * r00 * r11, -e * r11 * r22
    r02 = (b * e - c * d) * r00 * r11 * r22
    result[0, 0] = r00 * r00 + r01 * r01 + r02 * r02
    result[0, 1] = result[1, 0] = r01 * r11 + r02 * r12
    result[0, 2] = result[2, 0] = r02 * r22
    result[1, 1] = r11 * r11 + r12 * r12
    result[1, 2] = result[2, 1] = r12 * r22
    result[2, 2] = r22 * r22
