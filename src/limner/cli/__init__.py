"""The command line: what a person or a script types, turned into calls of the app room."""
