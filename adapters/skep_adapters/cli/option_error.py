"""What is raised of an option whose value cannot be."""


class OptionError(Exception):
    """An option has a value that cannot be; the message names both."""
