"""Define types of values in ``bundle.json``, each with its limits in JSON Schema."""

from typing import Annotated, TypeAlias

Count: TypeAlias = Annotated[int, {"minimum": 0}]
Positive: TypeAlias = Annotated[int, {"minimum": 1}]
Share: TypeAlias = Annotated[float, {"minimum": 0, "maximum": 1}]
Distance: TypeAlias = Annotated[float, {"minimum": 0}]
Digest: TypeAlias = Annotated[str, {"pattern": "^[0-9a-f]{64}$"}]
