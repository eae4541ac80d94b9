"""A worker inside a program of another kind; docs/embedding.md explains them."""
