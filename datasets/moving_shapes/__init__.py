"""Moving shapes: a generated video data set in which only the order of frames tells classes apart.

config ──► scene (true parameters) ──► rendering (frames) ──► encoding (mp4) ──► writer (data set)
"""
