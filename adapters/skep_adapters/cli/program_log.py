"""The program's own log, to standard error: for a person on a terminal, else one JSON object a line.

What libraries say through `logging` goes the same way.
"""

import logging
import sys

import structlog
from structlog.typing import Processor

#: Of every entry, whoever makes it.
_COMMON: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def set_up() -> None:
    """Send everything that is logged to standard error, from `info` on; libraries from `warning` on."""
    terminal = sys.stderr.isatty()
    rendering: list[Processor] = (
        # plain: the default, by rich, shows the values of local variables, and some of those are secret
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if terminal
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*_COMMON, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,  # modules made their loggers before we came
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_COMMON,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
