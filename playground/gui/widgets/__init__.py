"""One widget a file; pages are built of these."""
