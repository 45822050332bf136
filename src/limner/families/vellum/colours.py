"""The colours that Vellum knows by name."""

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 50, 47),
    "orange": (245, 140, 40),
    "yellow": (250, 210, 60),
    "green": (80, 170, 80),
    "blue": (60, 120, 220),
    "purple": (140, 85, 190),
    "pink": (245, 150, 185),
    "brown": (135, 90, 60),
    "black": (35, 35, 40),
    "white": (255, 255, 255),
    "grey": (150, 155, 160),
}
"""sRGB, as things and grounds were painted in training."""
