"""Datasets and training runs."""
