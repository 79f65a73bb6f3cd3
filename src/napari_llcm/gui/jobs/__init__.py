"""Jobs off the main thread, and how they look while they run."""
