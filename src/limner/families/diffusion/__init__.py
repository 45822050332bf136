"""Diffusion models of other makers: told apart by their headers, described by their facts."""
