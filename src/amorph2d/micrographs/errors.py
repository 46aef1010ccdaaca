"""What can be wrong with a micrograph."""

from __future__ import annotations


class MicrographError(ValueError):
    """A micrograph, or what is said of it, cannot be used; the message says why, and what would be right."""
