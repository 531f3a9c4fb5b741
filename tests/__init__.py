"""Tests of the whole; `unit/` mirrors the package."""
