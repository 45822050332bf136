"""The steps that bring a library of any age to the present tables.

A revision is a file `versions/rNNNN_what.py`; the last one is named in `tables.REVISION`.
"""
