"""Autoencoders: what kinds there are, their networks, and how published ones are read."""
