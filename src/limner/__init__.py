"""Limner draws what you describe."""
