"""What goes into Limner as a picture file, and what comes out of it as one."""
