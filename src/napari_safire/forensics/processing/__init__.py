"""What sensor and processing leave in pixels: noise, a colour filter, resampling."""
