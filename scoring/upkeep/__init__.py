"""What keeps an installation in order: retention, retired jobs, alerts."""
