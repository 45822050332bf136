"""What a file or folder is, from its headers and descriptions alone."""
