"""What a night is read from and written to: source, lake, model registry, warehouse."""
