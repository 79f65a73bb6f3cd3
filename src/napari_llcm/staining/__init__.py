"""The staining room."""
