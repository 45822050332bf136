"""Reading the settings that other tools, and we, write into the pictures they make."""
