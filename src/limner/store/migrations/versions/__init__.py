"""One file per revision of the tables, in order."""
