"""Samplers, schedules and guidance, by the solvers and guiders of diffusers."""
