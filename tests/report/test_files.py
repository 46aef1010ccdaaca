import numpy as np
import pandas as pd

from amorph2d.report.files import file_entries, network_names, score_label


def entries(**columns):
    return file_entries(
        pd.DataFrame({"file": ["a.dm4"], "micrograph": ["a"], "status": ["analysed"]} | columns)
    )


def test_facts_have_labels_and_an_order():
    (entry,) = entries(
        sha256=["ab12"], dose_per_area=[12345.6], sampling_source=["sampling.csv"], new_column=[3]
    )
    assert entry.facts == (
        ("File", "a.dm4"),
        ("Sampling from", "sampling.csv"),
        ("Dose, estimated [e⁻/Å²]", "12\u202f346"),
        ("SHA-256 of the file", "ab12"),
        ("New column", "3"),
    )
    assert (entry.name, entry.stem, entry.error, entry.warnings) == ("a.dm4", "a", "", ())


def test_square_pixels_have_one_sampling():
    (square,) = entries(sampling_y=[0.2], sampling_x=[0.2])
    (flat,) = entries(sampling_y=[0.2], sampling_x=[0.25])
    assert ("Sampling [Å/px]", "0.2000") in square.facts
    assert ("Sampling along x [Å/px]", "0.2500") in flat.facts


def test_cells_of_any_kind_are_written():
    (entry,) = entries(
        in_domain=[np.True_],
        rows=[4096],
        energy=[60000.0],
        polarity=[None],
        dose_per_area=[np.nan],
        tags=[["x", "y"]],
    )
    facts = dict(entry.facts)
    assert facts["In the training domain"] == "yes"
    assert facts["Rows [px]"] == "4\u202f096"
    assert facts["Electron energy [eV]"] == "60\u202f000"
    assert facts["Tags"] == "x; y"
    assert "Contrast" not in facts
    assert "Dose, estimated [e⁻/Å²]" not in facts


def test_scores_stand_elsewhere():
    (entry,) = entries(atom_f1=[0.99], ring_rmse=[0.1])
    assert entry.facts == (("File", "a.dm4"),)
    assert score_label("atom_f1") == "Atoms, F1"
    assert score_label("ring_rmse") == "Ring centres, RMSE [Å]"
    assert score_label("ring_recall") == "Ring centres, recall"
    assert score_label("dice_score") == "Dice score"


def test_warnings_are_gathered_once():
    (entry,) = entries(warnings=["no atoms"], domain_reason=["no atoms"])
    assert entry.warnings == ("no atoms",)
    (entry,) = entries(warnings=[np.nan], domain_reason=["dose too low"])
    assert entry.warnings == ("dose too low",)


def test_what_was_not_analysed_has_a_reason():
    (entry,) = entries(status=["not analysed"], reason=["no sampling"], warnings=["dark"])
    assert entry.error == "no sampling"
    assert entry.warnings == ()
    (silent,) = entries(status=["not analysed"], reason=[None])
    assert silent.error == "no reason is known"


def test_networks_are_named_once():
    table = pd.DataFrame({"network": ["sites/2", None, "sites/2", "sites/1", np.nan]})
    assert network_names(table) == ["sites/2", "sites/1"]
    assert network_names(pd.DataFrame()) == []
    assert file_entries(pd.DataFrame()) == []


def test_the_sampling_has_its_error():
    (square,) = entries(sampling_y=[0.1094], sampling_x=[0.1094], sampling_error=[0.00213])
    assert ("Sampling [Å/px]", "0.1094 ± 0.0021") in square.facts
    (flat,) = entries(sampling_y=[0.2], sampling_x=[0.25], sampling_error=[0.01])
    assert ("Sampling along x [Å/px]", "0.250 ± 0.010") in flat.facts
    (unknown,) = entries(sampling_y=[0.2], sampling_x=[0.2], sampling_error=[np.nan])
    assert unknown.facts == (("File", "a.dm4"), ("Sampling [Å/px]", "0.2000"))


def test_whether_a_file_lies_in_the_domain():
    assert entries(in_domain=[False])[0].in_domain is False
    assert entries(in_domain=[np.True_])[0].in_domain is True
    assert entries(in_domain=[None])[0].in_domain is None
    assert entries()[0].in_domain is None
