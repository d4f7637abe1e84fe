"""Lines of several tasks and nodes as one stream."""
