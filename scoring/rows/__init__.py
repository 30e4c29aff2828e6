"""Rows in, rows or numbers out, nothing read or written: contract, prediction, profile, digest."""
