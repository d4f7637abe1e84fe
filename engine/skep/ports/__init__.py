"""What the engine asks of the outside, one contract a file; adapters and `skep.runtime.memory` fulfil them.

Each guarantee is spelled out where it is given, and proved by a suite in `skep.testing` over every implementation.
"""
