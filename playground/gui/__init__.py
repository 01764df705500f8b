"""The window: everything that imports PySide6, and nothing that knows an engine."""
