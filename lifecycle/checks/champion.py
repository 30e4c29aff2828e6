"""Whether the champion can be scored with what the job file declares today."""

from __future__ import annotations

from datetime import date

from scoring.errors import DeclarationMismatch, NightshiftError
from scoring.night import promoted_ref
from scoring.stores import Workspace
from scoring.stores.warehouse import in_effect, promotions


def check_champion(work: Workspace) -> list[str]:
    """Return a sentence about features that the champion was not trained with, or nothing. Raises ``DeclarationMismatch``."""
    try:
        champion = in_effect(promotions.history_of(work.warehouse, work.job.name), date.max)
        unused = [] if champion is None else work.registry.unused(promoted_ref(work.stores, champion), work.job)
    except DeclarationMismatch:
        raise
    except NightshiftError:  # nothing was scored yet, or scoring says what is wrong with the version
        return []
    if champion is None or not unused:
        return []
    return [f"version {champion.model_version}, the champion, was not trained with {unused} and is scored without them"]
