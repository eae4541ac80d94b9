"""A small shop: its rows and its jobs are written in the same transactions, and at the end it proves that nothing was lost.

Run it with ``python -m examples.shop``.
"""
