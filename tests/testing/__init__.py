"""Tests of what pgqueue gives to other people's tests."""
