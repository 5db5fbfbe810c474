"""What a JPEG file, or pixels that were one, tell of how often and how they were compressed."""
