"""The demonstration: everything from data to report on a generated data set, on two CPU cores in minutes.

moving shapes ──► tiny CLIP ──► DiST (runs/run.py) ──► what each of them knows ──► summary, pictures
"""
