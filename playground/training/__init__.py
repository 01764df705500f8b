"""Training: datasets in, formats, templates, splits; run folders, their settings and what they note down. No torch, no widget."""
