"""The allocator: subnets of networks, ports and addresses of services, addresses of tasks and of nodes.

What is given is an event, and what is free follows from the fold, so nothing leaks. What cannot be given is asked for
again when something is freed (`skep.core.address_index` knows who waits), never by time.
"""
