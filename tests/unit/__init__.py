"""Tests of the Python package, folder by folder as it is."""
