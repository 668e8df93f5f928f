"""The chaos rig's own family of methods."""

from __future__ import annotations

from tests.chaos.family.contract import AsyncChaos, Chaos
from tests.chaos.family.services import family

__all__ = ["AsyncChaos", "Chaos", "family"]
