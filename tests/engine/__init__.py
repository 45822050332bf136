"""The local engine: residency, batches, framing, the machine."""
