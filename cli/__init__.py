"""The one front door: every command, from scoring a night to the demo."""
