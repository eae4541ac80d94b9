"""Tests of the worker: its services alone, whole in this process, and as processes that are killed, stopped and cut off."""
