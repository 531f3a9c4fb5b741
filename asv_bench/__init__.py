"""Benchmarks of what Python sees (`benchmarks/`, run by asv) and promises about speed (`promises/`, `make bench`)."""
