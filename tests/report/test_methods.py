from amorph2d.report.methods import flatten, interval_level, methods_text

PARAMETERS = {
    "localisation": {"min_distance": 0.6, "border": 2.0, "thresholds": {"atom": 0.35, "ring": "network"}},
    "statistics": {
        "bonds": {"limits": (0.5, 1.9)},
        "rings": {"max_size": 16},
        "pdf": {"r_max": 10.0, "bin_width": 0.05},
        "intervals": {"level": 0.9, "block": 20.0, "n_resamples": 1000, "seed": 0},
    },
}


def test_parameters_are_flattened():
    assert flatten(PARAMETERS)["statistics.bonds.limits"] == (0.5, 1.9)
    assert flatten({"a": {}, "b": {"c": None}}) == {"a": {}, "b.c": None}


def test_the_text_has_the_parameters_that_were_used():
    text = methods_text(PARAMETERS, version="9.8.7", networks=["sites/3", "sites/4"])
    for part in (
        "amorph2d 9.8.7",
        "(sites/3; sites/4)",
        "below a confidence of 0.35 (atoms)",
        "closer than 0.6 Å",
        "within 2 Å of the edge",
        "0.5 to 1.9 Å",
        "at most 16 atoms",
        "up to 10 Å in bins of 0.05 Å",
        "(90 %)",
        "blocks of 20 Å and 1000 resamples",
    ):
        assert part in text


def test_sentences_without_their_parameters_are_left_out():
    text = methods_text({"localisation": {"thresholds": {"atom": "network"}}}, version="1", networks=[])
    assert "confidence" not in text
    assert "None" not in text
    assert "{}" not in text
    assert text.startswith("Micrographs were analysed with amorph2d 1,")


def test_the_level_of_the_intervals():
    assert interval_level(PARAMETERS) == "90 %"
    assert interval_level({"intervals": {"level": 0.995}}) == "99.5 %"
    assert interval_level({}) == "95 %"
