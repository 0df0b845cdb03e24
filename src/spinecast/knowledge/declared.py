"""What every table of a registry or an experiment is: frozen, complete, nothing stray."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from spinecast.errors import Problem

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Mark = Literal["found", "derived", "recalled", "assumption"]


def _as_text(value: object) -> object:
    """Level names are text, also where TOML reads `1` as a number."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


LevelName = Annotated[str, BeforeValidator(_as_text)]
Numbers = Annotated[tuple[float, ...], Field(strict=False)]
Interval = Annotated[tuple[float, float], Field(strict=False)]
Names = Annotated[tuple[LevelName, ...], Field(strict=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class Declared(BaseModel):
    """A frozen table of a TOML file; an unknown key, `nan` and `inf` are refused.

    `TEXTS` names the keys a patient's record or a page shows to people: they can be translated.
    """

    TEXTS: ClassVar[tuple[str, ...]] = ()

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        arbitrary_types_allowed=True,
    )

    def __getstate__(self) -> dict[Any, Any]:
        """What was declared, for another process; what was worked out of it is not sent along."""
        state = super().__getstate__()
        declared = type(self).model_fields
        kept = {name: value for name, value in state["__dict__"].items() if name in declared}
        return {**state, "__dict__": kept}

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Itself: what cannot change need not be copied (scikit-learn's `clone` asks for it)."""
        return self


Record = TypeVar("Record", bound=Declared)


def record(
    model: type[Record], where: str, table: Mapping[str, Any], problems: list[Problem]
) -> Record | None:
    """The record a table declares, or None after noting everything the schema has against it."""
    try:
        return model.model_validate(table)
    except ValidationError as error:
        problems.extend(schema_problems(where, error))
        return None


def schema_problems(where: str, error: ValidationError) -> Iterator[Problem]:
    """What does not fit the schema, as problems: the key's path, the value given, the rule."""
    found = error.errors(include_url=False)
    for item in found:
        if item["type"] == "too_short" and any(_is_within(item, other) for other in found):
            continue  # it is short only because what was given does not count
        path = ".".join(str(part) for part in item["loc"])
        given = "missing" if item["type"] == "missing" else f"given {str(item['input'])[:60]!r}"
        remedy = _REMEDIES.get(item["type"], "")
        message = item["msg"][:1].lower() + item["msg"][1:]
        yield Problem(f"{where} {path}".rstrip(), given, message, remedy)


def _is_within(item: ErrorDetails, other: ErrorDetails) -> bool:
    depth = len(item["loc"])
    return len(other["loc"]) > depth and other["loc"][:depth] == item["loc"]


_REMEDIES = {
    "missing": "Add it.",
    "string_type": "Write text, in quotes.",
    "extra_forbidden": "Remove the key, or correct its spelling.",
}
