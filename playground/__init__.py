"""Playground: see what a local language model does, steer it while it speaks, train it on your own data."""

__version__ = "0.1.0"
