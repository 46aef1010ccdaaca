"""Nested values as MLflow takes them: flat, named by their path, as text or as finite numbers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

_LONGEST_VALUE = 6000  # characters


def flatten(values: Any, prefix: str = "") -> dict[str, str]:
    """Flatten a mapping or pydantic model, and those nested in it, to text values by dotted names."""
    flat: dict[str, str] = {}
    for name, value in _plain(values).items():
        plain = _plain(value)
        if isinstance(plain, Mapping) and plain:
            flat |= flatten(plain, f"{prefix}{name}.")
        else:
            flat[_allowed(f"{prefix}{name}")] = as_text(plain)
    return flat


def _plain(value: Any) -> Any:
    """Return a pydantic model as a mapping, anything else as it is."""
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def flatten_metrics(values: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Flatten nested mappings to their finite numbers by dotted names; everything else is left out."""
    flat: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten_metrics(value, f"{prefix}{name}.")
        elif _is_finite(value):
            flat[_allowed(f"{prefix}{name}")] = float(value)
    return flat


def _is_finite(value: Any) -> bool:
    """Whether it is a finite number, and not a truth value."""
    if isinstance(value, bool | str) or value is None:
        return False
    try:
        return math.isfinite(value)
    except TypeError:
        return False


def _allowed(name: str) -> str:
    """Replace what MLflow does not take in a name."""
    return re.sub(r"[^\w\-./: ]", "_", name)


def as_text(value: Any) -> str:
    """Return text as it is and everything else as JSON, no longer than MLflow takes."""
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"
