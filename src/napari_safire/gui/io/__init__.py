"""Reader, writer and sample data."""
