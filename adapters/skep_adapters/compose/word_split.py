"""Commands that are written as one line of text, split into words as a shell does."""

import shlex

from skep_adapters.compose.place import Place


def split_words(value: str, place: Place) -> list[str]:
    """Return the words of a line; what stands in quotes is one, and `#` at a word's beginning ends the line."""
    try:
        return shlex.split(value, comments=True)
    except ValueError as error:
        place.refuse(f"cannot be split into words: {str(error).lower()}: {value!r}")
