"""What is published of each family of diffusion models: one sheet of facts a variant."""
