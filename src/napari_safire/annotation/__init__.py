"""What people make of one picture: values, their one codec, edits, numbers, and saving."""
