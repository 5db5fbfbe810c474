"""The panels of the dock *SAFIRE*."""
