"""Benchmarks: ``python -m benchmarks.<name>``. Each starts an embedded server of its own, with fsync on.

Times of two runs on a shared machine cannot be compared; ratios of interleaved pairs within one run can.
"""
