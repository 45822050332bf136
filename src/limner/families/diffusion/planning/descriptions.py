"""Numbers out of the descriptions of a model's parts, which anyone may have written."""

from collections.abc import Mapping

from limner.domain.errors import WeightsRejected

_MOST = 1_000_000
_LONGEST = 64


class Settings:
    """The settings of one part. What is missing is what the libraries take for it."""

    def __init__(self, part: str, settings: Mapping[str, object]) -> None:
        self._part = part
        inner = settings.get("text_config")
        self._settings = {**settings, **inner} if isinstance(inner, dict) else settings

    def number(self, key: str, default: float) -> float:
        """Return a number above zero; raises WeightsRejected for any other."""
        value = self._settings.get(key)
        return self._checked(key, default if value is None else value)

    def count(self, key: str, default: int) -> int:
        """Return a whole number above zero; raises WeightsRejected for any other."""
        return int(self.number(key, default))

    def counts(self, key: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """Return whole numbers above zero, at least one; a single number is a list of one."""
        value = self._settings.get(key)
        listed = default if value is None else value if isinstance(value, list) else [value]
        if not 0 < len(listed) <= _LONGEST:
            raise self._refusal(key, value)
        return tuple(int(self._checked(key, one)) for one in listed)

    def says(self, key: str, default: bool) -> bool:
        """Return whether something is so."""
        value = self._settings.get(key)
        return value if isinstance(value, bool) else default

    def words(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """Return a list of words."""
        value = self._settings.get(key)
        if value is None:
            return default
        if not isinstance(value, list) or not 0 < len(value) <= _LONGEST:
            raise self._refusal(key, value)
        return tuple(str(one) for one in value)

    def _checked(self, key: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._refusal(key, value)
        if not 0 < value <= _MOST:  # NaN is not, either
            raise self._refusal(key, value)
        return value

    def _refusal(self, key: str, value: object) -> WeightsRejected:
        return WeightsRejected(
            f"The memory that its {self._part} needs cannot be predicted: its description says "
            f"that {key} is {str(value)[:40]}. Get the model again."
        )
