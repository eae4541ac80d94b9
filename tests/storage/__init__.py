"""Tests of the storage: the cursor, the statements, and histories of many at once."""
