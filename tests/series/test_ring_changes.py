import pandas as pd

from amorph2d.series.followed import follow_atoms
from amorph2d.series.ring_changes import RingChange, Scene, changed_rings, sizes_text
from strategies import make_sites


def tables(*frames, n_atoms=6):
    """Sites and rings of frames, each a list of rings as lists of tracks; the atoms of no ring are missed."""
    sites, rings, ring_atoms = [], [], []
    for frame, polygons in enumerate(frames):
        seen = sorted({atom for polygon in polygons for atom in polygon})
        sites.append(make_sites([(atom, 0) for atom in seen], frame=frame).assign(track=seen))
        rings += [(frame, len(polygon)) for polygon in polygons]
        ring_atoms += [
            (frame, row, seen.index(atom)) for row, polygon in enumerate(polygons) for atom in polygon
        ]
    return (
        follow_atoms(pd.concat(sites, ignore_index=True), max_gap=2, max_jump=0.0),
        pd.DataFrame(rings, columns=["frame", "size"]),
        pd.DataFrame(ring_atoms, columns=["frame", "row", "atom"]),
    )


WHOLE, HALVES = [[0, 1, 2, 3, 4, 5]], [[0, 1, 2, 5], [2, 3, 4, 5]]


def test_rings_that_differ():
    scene = Scene((2, 5), range(2), range(2, 4))
    (found,) = changed_rings(*tables(HALVES, HALVES, WHOLE, WHOLE), [scene])
    assert set(found.before) == {frozenset(ring) for ring in HALVES}
    assert found.after == (frozenset(range(6)),)
    assert sizes_text(found.before) == "4-4"
    assert sizes_text(found.after) == "6"


def test_an_atom_that_is_missed_changes_nothing():
    missed = [[1, 2, 3, 4, 5]]
    scene = Scene((2, 5), range(3), range(3, 6))
    (found,) = changed_rings(*tables(HALVES, missed, missed, HALVES, HALVES, HALVES), [scene])
    # Without votes of those frames only in which all atoms of a ring are seen, two of three would win.
    assert frozenset({0, 1, 2, 5}) not in {*found.before, *found.after}


def test_rings_elsewhere_are_not_asked():
    other = [[6, 7, 8]]
    scene = Scene((2,), range(1), range(1, 2))
    (found,) = changed_rings(*tables(HALVES + other, HALVES), [scene])
    assert found == RingChange((), ())
    assert changed_rings(*tables(HALVES), []) == []


def test_size_changes_of_rings_that_are_otherwise_the_same():
    before, after = (frozenset({0, 1, 2}), frozenset({4, 5, 6})), (frozenset({0, 1}), frozenset({7, 8, 9}))
    assert RingChange(before, after).size_changes() == [-1]
