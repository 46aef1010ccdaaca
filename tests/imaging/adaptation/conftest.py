import numpy as np
import pytest

from amorph2d.imaging.detector import record


def graphene_pattern(shape, sampling, *, bright_atoms=True, second=0.3, rotation=10.0):
    """Graphene's first and second ring of Bragg waves, variance 1: centres of the rings are the extremes."""
    y = np.arange(shape[0])[:, None] * sampling
    x = np.arange(shape[1])[None, :] * sampling
    angles = np.deg2rad(rotation + np.array([0, 60, 120]))
    first = sum(np.cos(2 * np.pi * (np.cos(a) * x + np.sin(a) * y) / 2.13) for a in angles)
    further = sum(np.cos(2 * np.pi * (np.cos(a) * x + np.sin(a) * y) / 1.23) for a in angles + np.deg2rad(30))
    pattern = (-first if bright_atoms else first) + second * further
    return pattern / pattern.std()


@pytest.fixture(scope="session")
def micrograph():
    """Make a micrograph of graphene with known conditions."""

    def make(
        *,
        shape=(240, 300),
        sampling=0.2,
        contrast=0.04,
        dose=2e4,
        bright_atoms=True,
        second=0.3,
        mtf=(0.05, 0.5, 2.5),
        light=1.0,
        add=0.0,
        seed=0,
    ):
        pattern = graphene_pattern(shape, sampling, bright_atoms=bright_atoms, second=second)
        return record(
            np.maximum((1 + contrast * pattern + add) * light, 0),
            electrons_per_pixel=dose * sampling**2,
            floor=mtf[0],
            width=mtf[1],
            exponent=mtf[2],
            rng=np.random.default_rng(seed),
        )

    return make


@pytest.fixture(scope="session")
def debris():
    """Strong slow structure in the right third of a field, mean 0 outside."""

    def make(shape, sampling, strength=0.2, seed=5):
        from scipy.ndimage import gaussian_filter

        rng = np.random.default_rng(seed)
        noise = gaussian_filter(rng.normal(size=shape), 1.2 / sampling)
        inside = np.arange(shape[1])[None, :] >= 2 * shape[1] // 3
        return strength * noise / noise.std() * inside

    return make
