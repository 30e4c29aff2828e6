"""A better model, or none: training, comparison, shadow, retraining, promotion, and checks of a job."""
