"""What Python sees of the chain, timed by asv: `asv run` and `asv continuous` in `asv_bench/`."""
