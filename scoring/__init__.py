"""Nightly batch scoring: extract, score, publish, exactly once per night."""

from importlib.metadata import version

__version__ = version("nightshift")
