"""Pure values: no I/O, no database, no event loop."""
