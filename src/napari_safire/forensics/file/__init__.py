"""What a picture's file says beside its pixels: structure, metadata, thumbnail, credentials."""
