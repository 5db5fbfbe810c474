"""Models by name: shipped, registered, downloaded."""
