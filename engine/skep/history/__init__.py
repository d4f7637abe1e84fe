"""What a log tells: the state at any time, what changed, why, and whether all of it holds.

Rules of this package: it reads, and never appends; it never imports the runtime.
"""
