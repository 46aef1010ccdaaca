import numpy as np
import pytest

from amorph2d.series.times import frame_times


def test_times_follow_the_interval():
    np.testing.assert_allclose(frame_times(4, interval=0.5), [0, 0.5, 1.0, 1.5])
    assert frame_times(0, interval=1.0).shape == (0,)
    assert frame_times(3, interval=2).dtype == np.float64


@pytest.mark.parametrize(
    ("n_frames", "interval", "message"),
    [(-1, 1.0, "n_frames"), (1, 0.0, "interval"), (1, np.inf, "interval")],
)
def test_impossible_times_are_refused(n_frames, interval, message):
    with pytest.raises(ValueError, match=message):
        frame_times(n_frames, interval=interval)
