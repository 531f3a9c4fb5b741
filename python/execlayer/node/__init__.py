"""A running node: a chain, its producer, its server, and whoever watches."""
