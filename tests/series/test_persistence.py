import numpy as np
import pytest

from amorph2d.series.persistence import find_changes, find_runs, presence_runs


def changes_of(text, *, min_frames, max_gap=2):
    """Changes of one thing; 1 and 0 are its states, a dot is a frame in which it is not known."""
    frame = np.array([k for k, letter in enumerate(text) if letter != "."], dtype=np.int64)
    state = np.array([text[k] == "1" for k in frame], dtype=bool)
    runs = find_runs(np.zeros(len(frame), np.int64), frame, state, n_frames=len(text), max_gap=max_gap)
    found = find_changes(runs, min_frames=min_frames)
    rows = zip(found.is_gain, found.before, found.after, found.is_persistent, strict=True)
    return sorted((int(b), int(a), "+" if gain else "-", bool(p)) for gain, b, a, p in rows)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("111000", [(2, 3, "-", True)]),
        ("000111", [(2, 3, "+", True)]),
        ("111111", []),
        ("111.000", [(2, 4, "-", True)]),
        (".11000", [(2, 3, "-", True)]),
        ("11000", [(1, 2, "-", False)]),
        ("11100", [(2, 3, "-", False)]),
        ("1110111", [(2, 3, "-", False), (3, 4, "+", False)]),
        # Flicker on the way: when it was is known to three frames only.
        ("11101000", [(2, 5, "-", True)]),
        ("111000111", [(2, 3, "-", True), (5, 6, "+", True)]),
        # After too long a gap it is another story.
        ("111...000", []),
        ("", []),
        ("1", []),
    ],
)
def test_changes_that_last_three_frames(text, expected):
    assert changes_of(text, min_frames=3) == expected


def test_with_one_frame_every_flicker_lasts():
    assert changes_of("1110111", min_frames=1) == [(2, 3, "-", True), (3, 4, "+", True)]
    assert changes_of("111...000", min_frames=1, max_gap=3) == [(2, 6, "-", True)]


def test_things_do_not_mix():
    thing, frame = np.repeat([0, 1], 6), np.tile(np.arange(6), 2)
    state = np.array([1] * 6 + [0, 0, 0, 1, 1, 1], dtype=bool)
    found = find_changes(find_runs(thing, frame, state, n_frames=6, max_gap=0), min_frames=3)
    assert found.thing.tolist() == [1]
    assert (found.before[0], found.after[0], found.is_gain[0]) == (2, 3, True)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ("1111111111", []),
        ("1110011111", []),  # a gap of two is tolerated
        ("1110001111", [(2, 6, "-", True), (5, 6, "+", True)]),
        ("1111110000", [(5, 6, "-", True)]),
        ("0000111111", [(3, 4, "+", True)]),
        ("0011111100", []),  # it may only have been missed
        ("1111100001", [(4, 5, "-", True), (8, 9, "+", False)]),
    ],
)
def test_presence(seen, expected):
    frame = np.array([k for k, letter in enumerate(seen) if letter == "1"])
    runs = presence_runs(np.zeros(len(frame), np.int64), frame, n_frames=len(seen), max_gap=2)
    found = find_changes(runs, min_frames=3)
    rows = [
        (int(b), int(a), "+" if gain else "-", bool(p))
        for gain, b, a, p in zip(found.is_gain, found.before, found.after, found.is_persistent, strict=True)
    ]
    assert [row[2:] for row in sorted(rows)] == [row[2:] for row in expected]
    if len(expected) == 1:
        assert rows == expected


def test_presence_of_nothing():
    none = np.empty(0, np.int64)
    assert len(presence_runs(none, none, n_frames=4, max_gap=1).thing) == 0


def test_brief_changes_go_back_and_others_cannot_be_told():
    def briefs(text):
        state = np.array([letter == "1" for letter in text])
        frame = np.arange(len(text))
        runs = find_runs(np.zeros(len(text), np.int64), frame, state, n_frames=len(text), max_gap=0)
        return find_changes(runs, min_frames=3).is_brief.tolist()

    assert briefs("1110111") == [True, True]
    assert briefs("11100") == [False]
    assert briefs("111000") == [False]
