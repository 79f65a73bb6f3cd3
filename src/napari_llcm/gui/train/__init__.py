"""The Train panel: teach a model your own samples."""
