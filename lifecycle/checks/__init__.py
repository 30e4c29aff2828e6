"""What `check` tries of a job before its first night."""
