"""What is wrong with a template, in Go's words where Go has some."""


class TemplateError(Exception):
    """A template cannot be read or evaluated.

    The text quotes the template, and maybe what it was given. `place` does not, and may be said of a template that is
    secret: line, column in bytes where it is known, and the bound that was passed, if that is it.
    """

    def __init__(self, message: str, place: str) -> None:
        super().__init__(message)
        self.place = place

    @staticmethod
    def reading(text: str, at: int, message: str) -> "TemplateError":
        """Return what is wrong at offset `at` of a template that is being read."""
        line = _line(text, at)
        return TemplateError(f"template: expansion:{line}: {message}", f"line {line}")

    @staticmethod
    def evaluating(text: str, at: int, shown: str, wrong: "Wrong") -> "TemplateError":
        """Return what is wrong with the part `shown`, at offset `at` of a template that is being evaluated."""
        line, column = _line(text, at), len(as_bytes(text[text.rfind("\n", 0, at) + 1 : at]))
        return TemplateError(
            f'template: expansion:{line}:{column}: executing "expansion" at <{shown}>: {wrong}',
            f"line {line}, column {column}" + (f": {wrong}" if isinstance(wrong, TooMuch) else ""),
        )


class Wrong(Exception):
    """Something is wrong, and only who asked knows where."""


class TooMuch(Wrong):
    """A bound was passed; the text quotes nothing."""


def as_bytes(text: str) -> bytes:
    """Return the bytes that Go counts."""
    return text.encode("utf-8", "surrogateescape")


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
