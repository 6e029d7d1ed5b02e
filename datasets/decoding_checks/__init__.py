"""Measuring the decoders: same frames from all of them, damaged files, memory, speed.

Used by ``runs/check_decoders.py`` and by the tests; nothing that trains or tests a model needs it.
"""
