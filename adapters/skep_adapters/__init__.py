"""Adapters: what connects the engine to disks, processes, sockets and people."""
