"""The use cases, on the fake engine and on the real model."""
