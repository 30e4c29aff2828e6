"""Was the night unusual: distances, what is normal, the nights compared with, the verdict."""
