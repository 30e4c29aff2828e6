"""Versions in the shadow: scored beside the publication, then judged by the outcomes."""
