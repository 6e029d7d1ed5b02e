"""Preparing a collection of videos: checking all files, making smaller copies, packing their frames."""
