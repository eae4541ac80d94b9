"""The shop's tables, and the queue's."""
