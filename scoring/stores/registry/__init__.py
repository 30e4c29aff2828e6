"""Model versions: their files, golden rows and sha256, in MLflow."""
