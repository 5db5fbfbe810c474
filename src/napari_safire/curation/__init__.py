"""From one examined picture to files people keep, and from a data set to scores."""
