"""Using a trained model on videos: which files, which clips, what comes out, and how it is shown.

inputs ──► clips ──► models/… ──► results ──► tables, timelines, drawings
"""
