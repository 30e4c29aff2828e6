"""Nightly batch scoring: extract, score, publish, exactly once per night."""

__version__ = "0.1.0"
