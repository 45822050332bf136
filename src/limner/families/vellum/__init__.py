"""Vellum: Limner's own small text-to-image model, inside the package."""

from limner.families.vellum.family import FAMILY

__all__ = ["FAMILY"]
