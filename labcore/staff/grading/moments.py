"""Times as platforms write them, always with a time zone."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo

from labcore.runtime import LabError

__all__ = ["moment", "shown", "zone_named"]

# Moodle's English worksheets: Wednesday, 10 June 2026, 2:14 PM, and the American order.
# Digits alone are not read: 10/06/2026 is a day in June or in October.
MOODLE = tuple(
    f"{day} %Y, {clock}"
    for day in ("%d %B", "%B %d,")
    for clock in ("%I:%M %p", "%H:%M")
)
WEEKDAY = re.compile(r"^[A-Za-z]+day,\s+")
RUBY = re.compile(r"(?<=\d) (?=Z$|[+-]\d\d:?\d\d$)")  # 2026-04-26 17:34:00.86 Z


def zone_named(name: str) -> tzinfo | None:
    """The zone, such as Europe/Berlin; None for an empty name: this machine's."""
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        raise LabError(
            f"There is no time zone {name!r} here: name one such as Europe/Berlin."
        ) from None


def moment(text: str, zone: tzinfo | None) -> datetime:
    """The time, in this zone unless the text names one; ValueError if it is none."""
    found = _read(text.strip().replace("\u202f", " "))
    if found.tzinfo is None and zone:
        return found.replace(tzinfo=zone)
    return found.astimezone(zone)


def _read(text: str) -> datetime:
    if len(text) >= len("2026-06-10 14:14"):  # a day alone is no time
        with suppress(ValueError):
            return datetime.fromisoformat(RUBY.sub("", text))
    for form in MOODLE:
        with suppress(ValueError):
            return datetime.strptime(WEEKDAY.sub("", text), form)
    raise ValueError(f"{text!r} is no time, such as 2026-06-10 14:14")


def shown(time: datetime) -> str:
    """The time to the minute, with its zone."""
    offset = time.strftime("%z")
    zone = getattr(time.tzinfo, "key", f"UTC{offset[:3]}:{offset[3:5]}")
    return f"{time:%Y-%m-%d %H:%M} ({zone})"
