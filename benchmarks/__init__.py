"""Ratios of cost, measured side by side. Run one with ``python -m benchmarks.simulation``."""
