"""Turns recipes into pixels: residency, batching, cancelling, determinism."""
