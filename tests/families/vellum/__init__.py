"""Vellum with the weights in the package."""
