import numpy as np
import pytest

from amorph2d.measures.intervals import Finer, bootstrap_interval, resample_blocks, share_interval

N_BLOCKS, PER_BLOCK, N_SETS, N_RESAMPLES = 16, 40, 300, 400


def clumped_sets(rng, n_blocks=N_BLOCKS, clumping=0.05):
    """Values (sets, blocks, items) of mean 1.4, spread 0.1, alike within a block; and which are there."""
    shape = (N_SETS, n_blocks, PER_BLOCK)
    spread = np.sqrt(0.1**2 - clumping**2)
    values = 1.4 + clumping * rng.standard_normal(shape[:2])[..., None] + spread * rng.standard_normal(shape)
    return values, np.arange(PER_BLOCK) < np.minimum(rng.poisson(25, shape[:2]), PER_BLOCK)[..., None]


def coverage(bounds, truth):
    low, high = np.transpose(bounds)
    return np.mean((low <= truth) & (truth <= high))


def mean_interval(sums, rng, n_blocks=None):
    resampled = resample_blocks(sums, n_resamples=N_RESAMPLES, rng=rng)
    estimate = sums[:, 1].sum() / sums[:, 0].sum()
    samples = resampled[:, 1] / resampled[:, 0]
    return bootstrap_interval(estimate, samples, level=0.95, n_blocks=n_blocks or len(sums))


def block_sums(values, is_there):
    return np.stack([is_there.sum(axis=-1), (values * is_there).sum(axis=-1)], axis=-1).astype(float)


def test_intervals_of_a_mean_cover_it_at_their_rate():
    rng = np.random.default_rng(1)
    sets = zip(*clumped_sets(rng), strict=True)
    assert coverage([mean_interval(block_sums(*each), rng) for each in sets], 1.4) == pytest.approx(
        0.95, abs=0.03
    )


def test_correlated_items_taken_as_independent_do_not():
    rng = np.random.default_rng(2)
    values, is_there = clumped_sets(rng)
    items = [
        block_sums(v[m][:, None], np.ones((m.sum(), 1))) for v, m in zip(values[:60], is_there, strict=False)
    ]
    assert coverage([mean_interval(each, rng) for each in items], 1.4) < 0.75


def test_few_blocks_need_wider_intervals():
    rng = np.random.default_rng(3)
    sums = [block_sums(*each) for each in zip(*clumped_sets(rng, n_blocks=5), strict=True)]
    assert coverage([mean_interval(each, rng) for each in sums], 1.4) == pytest.approx(0.95, abs=0.03)
    assert coverage([mean_interval(each, rng, n_blocks=10**9) for each in sums], 1.4) < 0.9


def test_intervals_of_a_spread_cover_it_at_their_rate():
    rng = np.random.default_rng(4)
    bounds = []
    for values, is_there in zip(*clumped_sets(rng, clumping=0.03), strict=True):
        sums = np.concatenate([block_sums(values, is_there), block_sums(values**2, is_there)[:, 1:]], axis=1)
        n, x, xx = resample_blocks(sums, n_resamples=N_RESAMPLES, rng=rng).T
        total = sums.sum(axis=0)
        estimate = np.sqrt(total[2] / total[0] - (total[1] / total[0]) ** 2)
        bounds.append(
            bootstrap_interval(estimate, np.sqrt(xx / n - (x / n) ** 2), level=0.95, n_blocks=N_BLOCKS)
        )
    assert coverage(bounds, 0.1) == pytest.approx(0.95, abs=0.04)


def test_intervals_of_a_density_cover_it_at_their_rate():
    rng = np.random.default_rng(5)
    bounds = []
    for counts in rng.poisson(30, (N_SETS, N_BLOCKS)):
        sums = np.stack([np.full(N_BLOCKS, 400.0), counts], axis=1)
        bounds.append(mean_interval(sums, rng))
    assert coverage(bounds, 30 / 400) == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize(("share", "clumping"), [(0.3, 0.0), (0.3, 0.1), (0.01, 0.0), (0.03, 0.03)])
def test_intervals_of_a_share_cover_it_at_their_rate(share, clumping):
    rng = np.random.default_rng(6)
    of_block = share + clumping * rng.choice([-1, 1], (N_SETS, N_BLOCKS))
    bounds = []
    for hits in rng.binomial(PER_BLOCK, of_block):
        sums = np.stack([np.full(N_BLOCKS, PER_BLOCK), hits], axis=1)
        n, k = resample_blocks(sums, n_resamples=N_RESAMPLES, rng=rng).T
        size = {"n_items": sums[:, 0].sum(), "n_blocks": N_BLOCKS}
        bounds.append(share_interval(hits.sum() / size["n_items"], k / n, level=0.95, **size))
    assert coverage(bounds, share) == pytest.approx(0.95, abs=0.04)
    low, high = np.transpose(bounds)
    assert (low >= 0).all()
    assert (high <= 1).all()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_nothing_seen_is_no_proof_of_absence(share):
    samples = np.full(200, share)
    low, high = share_interval(share, samples, n_items=100, level=0.95, n_blocks=10**6)
    assert low <= share <= high
    assert high - low == pytest.approx(1.96**2 / (100 + 1.96**2), rel=1e-3)
    assert bootstrap_interval(share, samples, level=0.95, n_blocks=10) == (share, share)


def test_wider_for_a_higher_level():
    samples = np.random.default_rng(0).normal(0.5, 0.1, 5000)
    widths = [
        np.diff(bootstrap_interval(0.5, samples, level=level, n_blocks=99)) for level in (0.5, 0.9, 0.99)
    ]
    np.testing.assert_array_less(widths[:-1], widths[1:])
    shares = {"n_items": 50, "n_blocks": 99}
    widths = [np.diff(share_interval(0.5, samples, level=level, **shares)) for level in (0.5, 0.9, 0.99)]
    np.testing.assert_array_less(widths[:-1], widths[1:])


@pytest.mark.parametrize(
    ("estimate", "samples", "n_blocks"),
    [(0.5, [0.4, 0.6], 1), (0.5, [], 9), (0.5, [np.nan], 9), (np.nan, [0.4], 9)],
)
def test_no_interval_without_blocks_or_samples(estimate, samples, n_blocks):
    assert np.isnan(bootstrap_interval(estimate, samples, level=0.95, n_blocks=n_blocks)).all()
    assert np.isnan(share_interval(estimate, samples, n_items=9, level=0.95, n_blocks=n_blocks)).all()


def test_samples_that_are_nan_are_left_out():
    samples = np.linspace(0.4, 0.6, 201)
    with_nan = np.concatenate([samples, np.full(50, np.nan)])
    assert bootstrap_interval(0.5, with_nan, level=0.9, n_blocks=9) == bootstrap_interval(
        0.5, samples, level=0.9, n_blocks=9
    )


def test_resampling_draws_as_many_blocks_as_there_are(monkeypatch):
    sums = np.random.default_rng(0).uniform(1, 2, (7, 3))
    sums[:, 0] = 1
    for limit in (10_000_000, 20):
        monkeypatch.setattr("amorph2d.measures.intervals._WEIGHTS", limit)
        resampled = resample_blocks(sums, n_resamples=2000, rng=np.random.default_rng(0))
        np.testing.assert_allclose(resampled[:, 0], 7)
        np.testing.assert_allclose(resampled.mean(axis=0), sums.sum(axis=0), rtol=0.01)
        np.testing.assert_allclose(resampled.var(axis=0)[1:], 7 * sums.var(axis=0)[1:], rtol=0.1)


def test_resampling_nothing():
    assert (
        resample_blocks(np.empty((0, 3)), n_resamples=5, rng=np.random.default_rng(0)).tolist()
        == [[0] * 3] * 5
    )
    with pytest.raises(ValueError, match=r"sums must have the shape \(blocks, K\), got \(4,\)"):
        resample_blocks(np.zeros(4), n_resamples=5, rng=np.random.default_rng(0))


def fields(kind, n=12, n_sets=100):
    """Values of blocks of 2n × 2n in windows, (sets, rows, columns), with the mean 0."""
    rng = np.random.default_rng(7)
    size = 2 * n
    if kind == "alike":  # each is the mean of 2 × 2 independent ones
        white = rng.standard_normal((n_sets, size + 1, size + 1))
        return (white[:, 1:, 1:] + white[:, :-1, 1:] + white[:, 1:, :-1] + white[:, :-1, :-1]) / 4
    # What one has too much its neighbours lack: sums over a window come from its rim alone.
    along_y, along_x = rng.standard_normal((2, n_sets, size + 1, size + 1))
    return np.diff(along_y, axis=1)[:, :, :-1] + np.diff(along_x, axis=2)[:, :-1]


def field_interval(field, *, is_extrapolated):
    n = len(field) // 2
    rng = np.random.default_rng(0)
    wide = field.reshape(n, 2, n, 2).mean(axis=(1, 3))
    samples, halves = (
        resample_blocks(each.reshape(-1, 1), n_resamples=N_RESAMPLES, rng=rng)[:, 0] / each.size
        for each in (wide, field)
    )
    finer = Finer(halves, field.size, field.size) if is_extrapolated else None
    return bootstrap_interval(field.mean(), samples, level=0.95, n_blocks=wide.size, finer=finer)


def test_blocks_of_two_sizes_cover_where_neighbours_are_alike():
    plain, extrapolated = (
        coverage([field_interval(field, is_extrapolated=way) for field in fields("alike")], 0)
        for way in (False, True)
    )
    assert plain < 0.87
    assert extrapolated == pytest.approx(0.95, abs=0.04)


def test_blocks_of_two_sizes_are_narrow_where_neighbours_make_up_for_each_other():
    plain, extrapolated = (
        np.array([field_interval(field, is_extrapolated=way) for field in fields("unlike")])
        for way in (False, True)
    )
    assert coverage(plain, 0) == 1
    assert coverage(extrapolated, 0) > 0.93
    assert np.diff(extrapolated).mean() < 0.75 * np.diff(plain).mean()


def test_independent_blocks_of_two_sizes_give_the_same():
    field = np.random.default_rng(8).standard_normal((200, 200))
    plain, extrapolated = (np.diff(field_interval(field, is_extrapolated=way))[0] for way in (False, True))
    assert extrapolated == pytest.approx(plain, rel=0.1)


def test_two_sizes_need_both():
    samples = np.random.default_rng(9).standard_normal(100)
    alone = bootstrap_interval(0.0, samples, level=0.95, n_blocks=9)
    assert bootstrap_interval(0.0, samples, level=0.95, n_blocks=9, finer=Finer([], 9, 9)) == alone
    same = Finer(np.zeros(100), 36, 36)  # nothing scatters in the narrow ones
    assert np.diff(bootstrap_interval(0.0, samples, level=0.95, n_blocks=9, finer=same)) >= np.diff(alone)
    assert np.isnan(bootstrap_interval(0.0, samples, level=0.95, n_blocks=1, finer=same)).all()
