"""From Recipes to what the pipelines of diffusers are called with."""
