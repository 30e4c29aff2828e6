"""The drift report of a night, for people: Evidently's page and how it is written."""
