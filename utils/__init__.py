"""Helpers that know nothing of the project's data sets, models and runs."""
