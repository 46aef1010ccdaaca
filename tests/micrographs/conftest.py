"""Images, and the writers of `micrograph_files`, one folder up."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

import micrograph_files
from amorph2d.micrographs.errors import MicrographError
from amorph2d.micrographs.read import read_micrograph

REALDATA = Path(__file__).parents[3] / "shared" / "realdata"


@pytest.fixture
def realdata():
    if not REALDATA.is_dir():
        pytest.skip("the folder of real data is absent")
    return REALDATA


@pytest.fixture
def image(rng):
    """A non-square image in counts."""
    return rng.poisson(100, (40, 64)).astype(np.float32)


@pytest.fixture
def frames(rng):
    return rng.poisson(100, (5, 40, 64)).astype(np.float32)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def write_rsciio():
    return micrograph_files.write_rsciio


@pytest.fixture
def write_mrc():
    return micrograph_files.write_mrc


@pytest.fixture
def write_ser():
    return micrograph_files.write_ser


@pytest.fixture
def write_velox():
    return micrograph_files.write_velox


@pytest.fixture
def write_zspy():
    return micrograph_files.write_zspy


@pytest.fixture
def write_dm():
    return micrograph_files.write_dm


@pytest.fixture
def refused():
    """Read a file that is refused: path and what its reason matches; gives the reason."""

    def read(path, match=None):
        with pytest.raises(MicrographError, match=match) as caught:
            read_micrograph(path)
        assert str(caught.value).startswith(path.name)
        return str(caught.value)

    return read
