"""The worker: one service a file, each with start, run_once and stop. It knows the backend's protocol only."""
