"""Real web applications that enqueue inside their request's transaction."""
