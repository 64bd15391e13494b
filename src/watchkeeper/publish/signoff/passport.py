"""What a sign-off needs to know of the passport that it vouches for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec


def generated_at(passport: Mapping[str, Any]) -> datetime | None:
    """When a passport says that it was generated; None: it does not say, or without a zone."""
    try:
        moment = msgspec.convert(passport.get("generated_at"), datetime, strict=False)
    except msgspec.ValidationError:
        return None
    if moment.tzinfo is None:
        return None
    return moment
