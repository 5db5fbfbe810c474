"""Between the viewer and the session."""
