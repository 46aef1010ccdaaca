"""Who was champion when: tags of the registered model, so that MLflow's pages show it too."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from amorph2d.tracking.versions import CHAMPION

if TYPE_CHECKING:
    from mlflow import MlflowClient

PROMOTED, ROLLED_BACK, REFERENCE, REGISTERED = "promoted", "rolled back", "reference", "registered"
SEEN = "set by alias, seen then"
_PREFIX = "champion since "
_TIME = "%Y-%m-%d %H:%M:%S.%f"
_VALUE = re.compile(r"version (\d+), (.+)")


@dataclass(frozen=True)
class Reign:
    """A version that became champion: which, when and how."""

    version: int
    since: datetime
    how: str


def set_champion(client: MlflowClient, task: str, version: int, how: str) -> None:
    """Give a version the alias, and note it unless it has the alias already."""
    reigns = complete_history(client, task)
    client.set_registered_model_alias(task, CHAMPION, str(version))
    if not reigns or reigns[-1].version != version:
        _note(client, task, version, how)


def complete_history(client: MlflowClient, task: str) -> list[Reign]:
    """Return the champions, oldest first, with one whose alias was set elsewhere noted now."""
    model = client.get_registered_model(task)
    reigns, reigning = _read(model.tags), model.aliases.get(CHAMPION)
    if reigning is not None and (not reigns or reigns[-1].version != int(reigning)):
        reigns.append(_note(client, task, int(reigning), SEEN))
    return reigns


def previous_champion(
    reigns: Sequence[Reign], *, reigning: int | None, existing: Collection[int]
) -> int | None:
    """Return the version that was champion before the reigning one, None if there is none.

    A roll-back takes back the last promotion, so a second one goes a step further.
    """
    order: list[int] = []
    for reign in reigns:
        if reign.how == ROLLED_BACK and reign.version in order:
            # It stays; what came after it is taken back.
            del order[len(order) - order[::-1].index(reign.version) :]
        elif not order or order[-1] != reign.version:
            order.append(reign.version)
    earlier = [version for version in order if version in existing]
    while earlier and earlier[-1] == reigning:
        earlier.pop()
    return earlier[-1] if earlier else None


def _read(tags: Mapping[str, str]) -> list[Reign]:
    """Return the champions that the tags name, oldest first."""
    reigns = []
    for name, value in tags.items():
        match = _VALUE.fullmatch(value)
        if name.startswith(_PREFIX) and match:
            since = datetime.strptime(name.removeprefix(_PREFIX), _TIME).replace(tzinfo=UTC)
            reigns.append(Reign(int(match[1]), since, match[2]))
    return sorted(reigns, key=lambda reign: reign.since)


def _note(client: MlflowClient, task: str, version: int, how: str) -> Reign:
    """Add a champion to the history; one tag each, so that two machines never write the same one."""
    since = datetime.now(UTC)
    client.set_registered_model_tag(task, f"{_PREFIX}{since.strftime(_TIME)}", f"version {version}, {how}")
    return Reign(version, since, how)
