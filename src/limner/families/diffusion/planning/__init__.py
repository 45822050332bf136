"""How much memory drawing takes, and which way of drawing fits a machine."""
