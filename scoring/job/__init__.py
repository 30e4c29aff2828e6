"""A job: its file, its policies, the function that makes its pipeline."""
