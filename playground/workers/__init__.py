"""What runs in child processes: the only importers of engines and training libraries. Nothing imports this package; roles are started by name."""
