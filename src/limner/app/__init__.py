"""The use cases: access checks, wiring and settings. This is the Python API."""
