"""The nouns of Limner and its error tree: frozen and pure."""
