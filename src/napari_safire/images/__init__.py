"""Picture files in and out, and what lies beside them: masks, lists, records."""
