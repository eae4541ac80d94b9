"""Exact counters: WAL, commits, statements, buffers and plans. None of them depends on how fast the machine is."""
