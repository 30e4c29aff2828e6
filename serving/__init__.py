"""Predictions on demand: the same versions, contract and bits as at night, over HTTP."""

from serving.keys import ALL_JOBS, KeyFile
from serving.review import Reviewed, review
from serving.server import Address, serve

__all__ = ["ALL_JOBS", "Address", "KeyFile", "Reviewed", "review", "serve"]
