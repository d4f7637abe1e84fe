"""The engine at work: the writer and what surrounds it, on asyncio by anyio. Where time passes and things fail."""
