"""An order engine that runs for hours, as its users run it: nothing may be lost, and its memory has to stay flat.

`make soak-orders MINUTES=60` runs an engine's process on a chain that goes on and on (`chain.py`), gives it signals
at an even rate, and takes its results (`__main__.py`).
"""
