"""The command ``pgqueue``."""
