"""A recipe's values by dotted key."""

from typing import Any

from ichtune.recipe.recipe import Recipe


def flat(recipe: Recipe) -> dict[str, Any]:
    """A recipe's values as plain data, by dotted key."""
    data = recipe.model_dump(mode="json")
    phases = data.pop("phases") or []
    values: dict[str, Any] = {}
    for section, value in data.items():
        values |= _by_key(section, value)
    if phases:  # the recipe's own are not used
        values = {
            key: value for key, value in values.items() if not key.startswith(("optimizer.", "schedule."))
        }
    for number, phase in enumerate(phases, start=1):
        for section, value in phase.items():
            values |= _by_key(f"phases.{number}.{section}", value)
    return values


def _by_key(name: str, value: Any) -> dict[str, Any]:
    return (
        {f"{name}.{key}": item for key, item in value.items()} if isinstance(value, dict) else {name: value}
    )
