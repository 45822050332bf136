"""What can draw: one folder per model family."""
