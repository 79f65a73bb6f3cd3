"""The Stain panel: a virtual DAPI layer fills in."""
