"""The nuclei room."""
