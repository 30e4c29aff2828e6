"""Why a pipeline has no evaluator of its own."""


class Unsupported(Exception):
    """A pipeline, or a part of it, that no evaluator covers. Its text says which."""
