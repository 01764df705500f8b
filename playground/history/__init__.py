"""What was said and how it came about, in one SQLite file that the user owns. Knows no widget, no engine, no worker."""
