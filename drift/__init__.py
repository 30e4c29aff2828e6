"""The package that watches nights: profiles, distances, verdicts, reports. Empty until monitoring is built."""
