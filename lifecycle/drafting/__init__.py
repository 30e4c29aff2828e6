"""A new job from a table: what its columns are, guessed from a sample, and the files that say so."""

from lifecycle.drafting.draft import Draft, draft_job
from lifecycle.drafting.request import DraftRequest

__all__ = ["Draft", "DraftRequest", "draft_job"]
