"""Broken input, made by number, and what must become of it: see `run.py`."""
