"""The Check panel: nuclei found, missed and made up."""
