"""Data: annotations, class names, reading of videos, sampling, transforms, loading."""
