"""The parts of a picture file as they lie in it, without a pixel being decoded."""
