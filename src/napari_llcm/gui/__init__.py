"""The gui room."""
