"""From the rows of a window of nights to a registered model version."""
