"""The sections of the dock widget; each shows one part of the desk and calls it."""
