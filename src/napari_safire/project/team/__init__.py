"""Several annotators: who works on what, how far they agree, and one truth made of their works."""
