"""Leaf layers: one idea a file."""
