"""Tests of Limner, room by room."""
