"""From files on the disk to a pipeline of diffusers in memory, the way that was planned."""
