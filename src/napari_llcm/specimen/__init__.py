"""The specimen room."""
