"""The nouns, their digests, and how a Draft becomes a Recipe."""
