"""From an embedding to sources and a verdict, with NumPy alone: no model is asked here."""
