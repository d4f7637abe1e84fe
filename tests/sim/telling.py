"""What stories of an engine with a bug say."""

from skep.testing.simulation.sweep import Broke, sweep


def told_by(seeds: range) -> str:
    """Return what failed first; nothing if every story ended well."""
    stories = sweep(seeds, processes=1, verify_all=False)
    return next((ended.why for ended in stories if isinstance(ended, Broke)), "")
