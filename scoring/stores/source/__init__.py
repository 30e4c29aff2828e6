"""A job's SQL on its source: parameters, types, times, and rows as Arrow batches."""
