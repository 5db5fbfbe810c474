"""One picture, all questions, and the files that hold the answers."""
