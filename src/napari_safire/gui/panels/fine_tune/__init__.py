"""The panels of fine-tuning."""
