"""What an index is into which nothing was put yet: one for all, since an empty dict takes 64 bytes, too."""

from typing import Any, NoReturn


class Nothing(dict[Any, Any]):
    """A dict that stays empty."""

    __slots__ = ()

    def _stay_empty(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("nothing can be put into what all share")

    __setitem__ = __ior__ = setdefault = update = _stay_empty


NOTHING = Nothing()
