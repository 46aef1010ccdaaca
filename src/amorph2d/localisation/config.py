"""Parameters of localisation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Threshold = Annotated[float, Field(gt=0.0, lt=1.0)] | Literal["network"] | None


class LocalisationParameters(BaseModel):
    """How a network's heat maps become sites."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tile_size: int = Field(gt=0, description="Side of the windows that the network sees, halo included [px].")
    batch_size: int = Field(gt=0, description="Windows that go through the network together.")
    thresholds: dict[str, Threshold] = Field(
        description="Least confidence of a site of each kind; network or null: the network's own"
    )
    min_distance: float = Field(ge=0.0, description="Of sites of one kind closer than this one is kept [Å].")
    border: float = Field(
        ge=0.0, description="Sites closer than this to the image's edge are not analysable [Å]."
    )
    precision: Literal["auto", "bf16", "float32"] = Field(
        description="Number format of the network's layers; `auto`: bf16 where the processor computes in it."
    )
