"""The late policy: when a lab was due, and what a day costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from labcore.runtime import LabError
from labcore.staff.grading.moments import moment, shown, zone_named

__all__ = ["Policy", "policy_of", "settings_with"]

DAY = timedelta(days=1)
UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))
NUMBERS = {"late": (0, 100), "grace": (0, math.inf), "most": (0, 100)}


@dataclass(frozen=True)
class Policy:
    due: datetime
    zone: tzinfo | None  # None: this machine's
    percent: float  # of the lab's points, for each day begun
    grace: timedelta
    most: float  # percent

    def behind(self, submitted: datetime) -> timedelta:
        """How late it came; zero within the grace."""
        # in UTC: a difference within one zone ignores a change of its clocks
        behind = submitted.astimezone(UTC) - self.due.astimezone(UTC)
        return behind if behind > self.grace else timedelta(0)

    def off(self, submitted: datetime, of: float) -> float:
        """The points that this lateness costs in a lab of so many points."""
        days = math.ceil(self.behind(submitted) / DAY)
        return round(of * min(days * self.percent, self.most) / 100, 2)

    def sentence(self, submitted: datetime, off: float, of: float) -> str:
        """What the student reads."""
        said = (
            f"handed in {shown(submitted)}, {_span(self.behind(submitted))} after the "
            f"due time, {shown(self.due)}"
        )
        if not self.percent:
            return said
        rule = f"{self.percent:g} % of {of:g} points for each day begun"
        limit = f", at most {self.most:g} %" if self.most < 100 else ""
        return f"{said}; {off:g} points are taken off: {rule}{limit}"


def _span(time: timedelta) -> str:
    """The two largest units of a time: 1 d 3 h."""
    left, parts = max(60, int(time.total_seconds())), []
    for seconds, unit in UNITS:
        count, left = divmod(left, seconds)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def settings_with(old: Mapping, given: Mapping) -> dict:
    """The settings, with those given; LabError if they make no policy.

    due     a time, kept with its zone
    zone    where times without one are meant, and how times are shown
    late    percent of the lab's points, for each day begun
    grace   minutes
    most    percent
    """
    settings = {**old, **{key: v for key, v in given.items() if v is not None}}
    for key, (least, most) in NUMBERS.items():
        value = settings.get(key, 0)
        if not least <= value <= most or value == math.inf:
            limits = f"from 0 to {most}" if most < math.inf else "0 or more"
            raise LabError(f"--{key} is {value:g}, but it must be {limits}.")
    if settings and "due" not in settings:
        names = " and ".join(f"--{key}" for key in settings)
        raise LabError(f"{names} goes with --due TIME: say when the lab was due.")
    if settings:
        zone = zone_named(settings.get("zone", ""))
        try:
            settings["due"] = moment(settings["due"], zone).isoformat()
        except ValueError as error:
            raise LabError(f"--due: {error}.") from None
    return settings


def policy_of(settings: Mapping) -> Policy | None:
    """The policy that late.json holds, if it holds one."""
    if not settings:
        return None
    try:
        zone = zone_named(settings.get("zone", ""))
        return Policy(
            due=moment(settings["due"], zone),
            zone=zone,
            percent=float(settings.get("late", 0)),
            grace=timedelta(minutes=settings.get("grace", 0)),
            most=float(settings.get("most", 100)),
        )
    except (AttributeError, TypeError, ValueError):
        raise LabError("late.json is damaged: give --due again.") from None
