"""Which pictures of a corpus somebody should look at: chosen, grouped, shown, listed."""
