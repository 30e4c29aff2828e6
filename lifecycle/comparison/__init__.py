"""A challenger against the champion: both on the same holdout rows, the gate, the model card."""
