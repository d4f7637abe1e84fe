"""Names for services that nobody named: an adjective and a word of beekeeping, where Swarm takes a surname."""

from skep.ports.clock import Ids

ADJECTIVES = (
    "amber", "ample", "ardent", "blithe", "bold", "brave", "bright", "brisk", "busy", "calm", "candid", "clear",
    "clever", "deft", "eager", "early", "fair", "fleet", "fond", "frank", "gentle", "glad", "golden", "hardy",
    "humble", "jolly", "keen", "kind", "lively", "lucid", "merry", "mild", "modest", "nimble", "noble", "patient",
    "placid", "proud", "quick", "quiet", "ready", "serene", "sober", "steady", "stout", "sunny", "swift", "tidy",
    "vivid", "warm", "wise", "witty",
)  # fmt: skip
NOUNS = (
    "apiary", "aster", "bloom", "borage", "brood", "cell", "clover", "cluster", "colony", "comb", "dance", "drone",
    "field", "flight", "forager", "frame", "garden", "heather", "hive", "honey", "keeper", "larva", "lavender",
    "linden", "mead", "meadow", "mellona", "nectar", "orchard", "petal", "pollen", "propolis", "queen", "sage",
    "scout", "skep", "smoker", "super", "swarm", "thistle", "thyme", "veil", "wax", "willow", "wing", "worker",
)  # fmt: skip


def new_name(ids: Ids) -> str:
    """Return a name drawn from the source of ids; it may be taken."""
    number = int(ids.new(), 36)
    number, adjective = divmod(number, len(ADJECTIVES))
    return f"{ADJECTIVES[adjective]}_{NOUNS[number % len(NOUNS)]}"
