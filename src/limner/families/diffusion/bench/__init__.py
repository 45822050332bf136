"""What drawing costs, beside diffusers alone and other programs."""
