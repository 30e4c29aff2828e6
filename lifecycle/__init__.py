"""A better model, or none: training, comparison, shadow, retraining, promotion; checks of a job."""
