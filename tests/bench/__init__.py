"""Measurements of speed: `make bench`. Not tests: pytest collects nothing here. docs/benchmarks.md explains them."""
