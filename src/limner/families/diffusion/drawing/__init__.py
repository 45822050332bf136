"""A model in memory that draws, with its previews and fast paths."""
