"""Promises about speed, and whether they hold on this machine: `make bench AREA=…`.

A promise is a row: ours, theirs (a rival or our own plain twin, measured in the same run), the ratio, the target. A
producer measures the rows of one area: `rust/compare` for what Rust sees, a module of this package for what Python
sees. Every producer checks the answer before it times; a wrong answer is refused and never becomes a row.
"""
