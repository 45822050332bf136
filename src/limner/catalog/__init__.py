"""Which models are here, where they come from, and that they are what they claim."""
