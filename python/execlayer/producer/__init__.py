"""Who makes the blocks of a running node."""
