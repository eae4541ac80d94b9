"""Orders, and receipts that jobs write."""
