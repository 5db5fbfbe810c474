"""The report of a case: a JSON document, its figures, and the HTML and PDF made of these alone."""
