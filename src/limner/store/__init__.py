"""The library on disk: tables, queries, migrations and blobs. The only SQL."""
