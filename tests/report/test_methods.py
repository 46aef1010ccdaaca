from pathlib import Path

import pytest
import yaml

from amorph2d.report.methods import PIPELINE_DOI, bibtex, flatten, interval_level, methods_text

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


CONF = Path(__file__).parents[2] / "conf" / "base"


@pytest.fixture(scope="module")
def used():
    inference = yaml.safe_load((CONF / "parameters_inference.yml").read_text(encoding="utf-8"))
    statistics = yaml.safe_load((CONF / "parameters_statistics.yml").read_text(encoding="utf-8"))
    return {
        "localisation": inference["localisation"],
        "analysis": inference["analysis"],
        "statistics": statistics["statistics"],
    }


def test_the_shipped_parameters_are_all_told(used):
    text = methods_text(used, version="1", networks=[])
    for part in (
        "bond length of 1.42 Å",
        "illumination was divided out",
        "more than 12 atoms are vacuum",
        "within 2 Å of second layers",
        "Of two atoms closer than 0.9 Å and of two ring centres closer than 1.25 Å",
        "(reach 8 Å) and a prior of 0.065 Å",
        "more than 4 times the usual misfit",
        "within 0.7 Å were linked over at most 2 missing frames",
        "within 2 Å of the edge",
        "more than 3 bonds",
    ):
        assert part in text, part
    assert "{}" not in text
    assert "None" not in text


@pytest.mark.parametrize(
    ("part", "value", "gone"),
    [
        ("refinement", None, "fitted to the image"),
        ("twin", None, "simulated again"),
        ("consistency", None, "the weaker was dropped"),
        ("flatten", False, "illumination"),
        ("masks", {"use": False, "largest_ring": 12, "smallest_spot": 30.0, "margin": 2.0}, "contamination"),
    ],
)
def test_what_was_not_done_is_not_told(used, part, value, gone):
    text = methods_text({**used, "analysis": {**used["analysis"], part: value}}, version="1", networks=[])
    assert gone in methods_text(used, version="1", networks=[])
    assert gone not in text


def test_bibtex_has_version_and_paper():
    text = bibtex("9.8.7", 2031)
    for part in ("version = {9.8.7}", "year    = {2031}", PIPELINE_DOI, "20488--20496", "@software{amorph2d"):
        assert part in text
    assert text.count("{") == text.count("}")
