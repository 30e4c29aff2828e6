"""The tests. They run side by side in as many processes as there are cores, so that each computes in one thread."""

import os

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Two threads that multiply the toys' small matrices wait for each other: half of a training's time on two busy cores."""
for name in ONE_THREAD:
    os.environ.setdefault(name, "1")  # read when the libraries are loaded; processes that tests start inherit it
