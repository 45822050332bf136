"""How Vellum is made: corpus, training run, export, sheets, evaluation."""
