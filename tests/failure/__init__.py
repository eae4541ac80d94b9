"""What becomes of jobs that fail."""
