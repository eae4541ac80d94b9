"""Programs that show pgqueue at work."""
