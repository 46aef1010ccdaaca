import numpy as np
import pytest

from amorph2d.topology.periodic import as_box, nearest_image, pad_with_images, wrap


def test_no_box_is_an_open_sheet():
    assert as_box(None) is None
    vectors = np.array([[7.0, -3.0]])
    assert nearest_image(vectors, None) is vectors
    assert wrap(vectors, None) is vectors


@pytest.mark.parametrize("box", [10.0, (1, 2, 3), (0, 5), (-1, 5), (np.nan, 5), (np.inf, 5)])
def test_refuses_what_is_no_box(box):
    with pytest.raises(ValueError, match="box must be two lengths > 0 Å"):
        as_box(box)


def test_vectors_to_nearest_images():
    box = np.array([10.0, 6.0])
    vectors = np.array([[9.0, 0.0], [-9.0, 5.0], [4.0, -2.0], [21.0, 13.0]])
    np.testing.assert_allclose(nearest_image(vectors, box), [[-1, 0], [1, -1], [4, -2], [1, 1]])


def test_wrapping_never_reaches_the_far_edge():
    box = np.array([10.0, 6.0])
    wrapped = wrap(np.array([[-1e-17, 6.0], [10.0, -0.5]]), box)
    np.testing.assert_allclose(wrapped, [[0, 0], [0, 5.5]])
    assert (wrapped < box).all()


@pytest.mark.parametrize("margin", [1.0, 7.0, 25.0])
def test_images_fill_the_margin(margin):
    box = np.array([10.0, 6.0])
    points = np.array([[2.0, 5.0], [-3.0, 1.0]])
    padded, source = pad_with_images(points, box, margin)
    np.testing.assert_allclose(padded[:2], [[2, 5], [7, 1]])
    np.testing.assert_allclose((padded - points[source]) % box % box.max(), 0, atol=1e-9)
    shifts = np.arange(-9, 10)
    expected = sum(
        np.sum((x + 10 * shifts > -margin) & (x + 10 * shifts < 10 + margin))
        * np.sum((y + 6 * shifts > -margin) & (y + 6 * shifts < 6 + margin))
        for x, y in points
    )
    assert len(padded) == len(np.unique(padded, axis=0)) == expected
