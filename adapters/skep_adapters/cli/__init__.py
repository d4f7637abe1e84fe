"""The `skep` command: the daemon that the docker CLI talks to, and what an operator needs beside it.

`main` reads the command line and nothing heavy: `skep --help` must be quick. What a command needs is imported in it.
"""
