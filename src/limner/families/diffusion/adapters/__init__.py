"""LoRA and its kin: what they hold of each layer, and what they add to it."""
