from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta

import pytest

from amorph2d.tracking import store as stores
from amorph2d.tracking.champions import (
    PROMOTED,
    ROLLED_BACK,
    SEEN,
    Reign,
    complete_history,
    previous_champion,
    set_champion,
)
from amorph2d.tracking.registry import (
    champion,
    ensure_reference,
    list_champions,
    promote,
    register_network,
    resolve,
    roll_back,
)
from amorph2d.tracking.store import TrackingError, connect


def history(*turns: tuple[int, str]) -> list[Reign]:
    start = datetime(2030, 1, 1, tzinfo=UTC)
    return [Reign(version, start + timedelta(days=day), how) for day, (version, how) in enumerate(turns)]


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ([], None),
        ([(1, PROMOTED)], None),
        ([(1, PROMOTED), (2, PROMOTED)], 1),
        ([(1, PROMOTED), (2, PROMOTED), (1, ROLLED_BACK)], None),
        ([(1, PROMOTED), (2, PROMOTED), (3, PROMOTED), (2, ROLLED_BACK)], 1),
        ([(1, PROMOTED), (2, PROMOTED), (1, ROLLED_BACK), (3, PROMOTED)], 1),
        ([(1, PROMOTED), (2, PROMOTED), (1, PROMOTED)], 2),
        ([(1, PROMOTED), (2, SEEN), (2, SEEN)], 1),
        ([(7, PROMOTED), (1, PROMOTED), (9, PROMOTED), (2, PROMOTED)], 1),
    ],
)
def test_the_previous_champion_is_the_one_before_the_last_promotion(turns, expected):
    found = previous_champion(
        history(*turns), reigning=turns[-1][0] if turns else None, existing=set(range(1, 5))
    )
    assert found == expected


def test_without_a_champion_the_last_one_is_the_previous_one():
    turns = history((1, PROMOTED), (2, PROMOTED))
    assert previous_champion(turns, reigning=None, existing={1, 2}) == 2


@pytest.fixture(scope="module")
def registered(tmp_path_factory, empty_database, write_folder):
    """Return a project with three versions, made once."""
    project = tmp_path_factory.mktemp("three")
    shutil.copy(empty_database, project / "mlflow.db")
    stores.configure(project)
    for seed in range(3):
        register_network(write_folder(project / str(seed), seed=seed))
    stores.reset()
    return project


@pytest.fixture
def three(registered, tmp_path):
    """Return a client of a copy of the store with three versions."""
    shutil.copytree(registered, tmp_path / "copy")
    return connect(stores.configure(tmp_path / "copy"))


def told(task: str = "sites") -> list[tuple[int, str]]:
    return [(reign.version, reign.how) for reign in list_champions(task)]


def test_promotions_are_rolled_back_one_by_one(three):
    for version in (1, 2, 3):
        promote("sites", version)
    assert roll_back("sites").version == 2
    assert champion("sites").version == 2
    assert roll_back("sites").version == 1
    with pytest.raises(TrackingError, match=r"'sites' had no other champion to go back to.*kedro promote"):
        roll_back("sites")
    assert champion("sites").version == 1
    assert told() == [
        (1, "promoted"), (2, "promoted"), (3, "promoted"), (2, "rolled back"), (1, "rolled back"),
    ]  # fmt: skip
    times = [reign.since for reign in list_champions("sites")]
    assert times == sorted(times)
    assert abs(datetime.now(UTC) - times[-1]) < timedelta(minutes=1)


def test_a_champion_promoted_again_is_noted_once(three):
    promote("sites", 2)
    promote("sites", 2)
    assert told() == [(2, "promoted")]


def test_an_alias_set_in_the_interface_serves_and_is_noticed(three):
    promote("sites", 1)
    three.set_registered_model_alias("sites", "champion", "3")
    assert champion("sites").version == 3
    assert told() == [(1, "promoted"), (3, SEEN)]
    assert roll_back("sites").version == 1


def test_an_alias_set_in_the_interface_is_noticed_by_the_next_promotion(three):
    promote("sites", 1)
    three.set_registered_model_alias("sites", "champion", "3")
    promote("sites", 2)
    assert told() == [(1, "promoted"), (3, SEEN), (2, "promoted")]
    assert roll_back("sites").version == 3


def test_an_alias_removed_in_the_interface_comes_back(three):
    promote("sites", 1)
    three.delete_registered_model_alias("sites", "champion")
    with pytest.raises(TrackingError, match="no version with the alias 'champion'"):
        champion("sites")
    assert roll_back("sites").version == 1
    assert champion("sites").version == 1


def test_a_deleted_version_is_passed_over(three):
    for version in (1, 2, 3):
        promote("sites", version)
    three.delete_model_version("sites", "2")
    assert roll_back("sites").version == 1


def test_a_previous_champion_without_its_files_leaves_the_champion(store, make_folder, ship):
    ship(None)
    for seed in range(2):
        register_network(make_folder(str(seed), seed=seed), alias="champion")
    shutil.rmtree(resolve("sites", 1).folder)
    with pytest.raises(TrackingError, match="version 1 are missing or damaged"):
        roll_back("sites")
    assert champion("sites").version == 2


def test_an_unknown_task_has_no_champions(store):
    for ask in (roll_back, list_champions):
        with pytest.raises(TrackingError, match="no network is registered for the task 'pores'"):
            ask("pores")


def test_the_reference_begins_the_history(store, make_folder, ship):
    ship(make_folder())
    ensure_reference("sites")
    assert told() == [(1, "reference")]


def test_registering_as_champion_is_noted(store, make_folder):
    register_network(make_folder(), alias="champion")
    assert told() == [(1, "registered")]


def test_who_may_only_read_still_gets_the_champion(three, monkeypatch, caplog):
    def refuse(*_: object) -> None:
        raise PermissionError("read only")

    three.set_registered_model_alias("sites", "champion", "2")
    monkeypatch.setattr("mlflow.MlflowClient.set_registered_model_tag", refuse)
    with caplog.at_level("INFO"):
        assert champion("sites").version == 2
    assert "history of the champions of 'sites' could not be completed: read only" in caplog.text


def test_tags_of_others_are_no_history(three):
    set_champion(three, "sites", 1, PROMOTED)
    three.set_registered_model_tag("sites", "champion since yesterday", "mine")
    three.set_registered_model_tag("sites", "team", "version 3, ours")
    assert [reign.version for reign in complete_history(three, "sites")] == [1]
