"""What the sensor and the processing leave in pixels: noise, its level, colour filter, resampling."""
