"""The panels for going through a queue of pictures."""
