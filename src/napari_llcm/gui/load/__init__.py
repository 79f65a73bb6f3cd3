"""The Load panel: open stacks and pairs, and check that they fit."""
