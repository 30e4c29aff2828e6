"""One retraining: its record, and a function per task."""
