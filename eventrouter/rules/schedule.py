"""When schedules fire: `rate(5 minutes)`, `cron(0 8 ? * MON-FRI *)` and `at(2026-01-31T08:00:00)`, all in UTC.

A rate counts from its anchor: the moment at which the schedule was made, changed or enabled. A cron expression has
AWS's six fields, whose last is the year; it fires on the minute. cronsim knows the calendar; what it lacks is here:
years, and `15W`, the weekday nearest to the 15th.

Source: lambda-semantics §6.5.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cronsim import CronSim, CronSimError

MINUTE_MS = 60_000
LAST_MS = 253_402_300_799_000
"""The last second of the year 9999: nothing fires later."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RATE = re.compile(r"rate\(([1-9]\d*) (minute|hour|day)(s?)\)")
_CRON = re.compile(r"cron\(([^()]*)\)")
_AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
_UNIT_MS = {"minute": MINUTE_MS, "hour": 60 * MINUTE_MS, "day": 1_440 * MINUTE_MS}
_ITEM = re.compile(r"(\*|\w+)(?:-(\w+))?(?:/(\d+))?")
_NEAREST_WEEKDAY = re.compile(r"(\d+)W")
_LAST_OF_ITS_KIND = re.compile(r"(\w+)L")
_NTH_OF_ITS_KIND = re.compile(r"(\w+)#([1-5])")


class InvalidSchedule(ValueError):
    """An expression is no schedule. `reason` says what is wrong with it, for people."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(f"{text!r} is not a schedule: {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Rate:
    """Fires every `period_ms`, counted from the anchor."""

    period_ms: int


@dataclass(frozen=True, slots=True)
class Cron:
    """Fires on every minute that all fields match.

    The first five fields are as cronsim reads them: lists of numbers, days of the week from 0 (Sunday) to 6.
    `weekdays_near` are days of the month of which the nearest weekday counts; `years` are sorted.
    """

    minutes: str
    hours: str
    days: str
    months: str
    weekdays: str
    years: tuple[int, ...]
    weekdays_near: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class At:
    """Fires once."""

    at_ms: int


Expression = Rate | Cron | At


def parse(text: str) -> Expression:
    """Read an expression as AWS does. Raises InvalidSchedule."""
    if match := _RATE.fullmatch(text):
        return _rate(text, int(match[1]), match[2], is_plural=bool(match[3]))
    if match := _CRON.fullmatch(text):
        return _cron(text, match[1])
    if match := _AT.fullmatch(text):
        try:
            return At(_ms(datetime.fromisoformat(match[1]).replace(tzinfo=UTC)))
        except ValueError as error:
            raise InvalidSchedule(text, f"there is no such time: {error}") from error
    raise InvalidSchedule(
        text, "it must be rate(NUMBER UNIT), cron(six fields) or at(yyyy-mm-ddThh:mm:ss), in lower case, without blanks"
    )


def next_after(expression: Expression, after_ms: int, *, anchor_ms: int) -> int | None:
    """Return when a schedule fires next, later than `after_ms`; None if never. Times are wall milliseconds.

    `anchor_ms` is what a rate counts from: it fires first a period later.
    """
    match expression:
        case Rate(period_ms):
            periods = max((after_ms - anchor_ms) // period_ms + 1, 1)
            due_ms = anchor_ms + periods * period_ms
            return due_ms if due_ms <= LAST_MS else None
        case Cron():
            return _next_of_cron(expression, after_ms)
        case At(at_ms):
            return at_ms if at_ms > after_ms else None


def _rate(text: str, number: int, unit: str, *, is_plural: bool) -> Rate:
    if is_plural is (number == 1):
        wanted = unit if number == 1 else f"{unit}s"
        raise InvalidSchedule(text, f"the unit of {number} is {wanted!r}")
    return Rate(number * _UNIT_MS[unit])


# Reading cron's fields.


@dataclass(frozen=True, slots=True)
class _Field:
    """What one field of a cron expression may hold."""

    name: str
    first: int
    last: int
    names: Mapping[str, int]

    def value(self, text: str) -> int:
        number = self.names.get(text.upper())
        if number is None and text.isascii() and text.isdigit():
            number = int(text)
        if number is None or not self.first <= number <= self.last:
            raise ValueError(f"{text!r} is no {self.name}")
        return number

    def values(self, item: str) -> range:
        """Return what an item means: `*`, `5`, `1-5`, each perhaps with a step; `5/10` runs to the field's end."""
        match = _ITEM.fullmatch(item)
        if match is None:
            raise ValueError(f"{item!r} is no {self.name}")
        start, end, step = match.groups()
        if start == "*":
            if end is not None:
                raise ValueError(f"{item!r} is no {self.name}")
            first, last = self.first, self.last
        else:
            first = self.value(start)
            last = self.value(end) if end is not None else self.last if step is not None else first
        if last < first or (step is not None and int(step) == 0):
            raise ValueError(f"{item!r} is no range of {self.name}s")
        return range(first, last + 1, int(step or 1))

    def numbers(self, text: str) -> list[int]:
        """Return all values that a list of items means, sorted."""
        return sorted({value for item in text.split(",") for value in self.values(item)})


_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_WEEKDAYS = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), 1)}
_MINUTE = _Field("minute", 0, 59, {})
_HOUR = _Field("hour", 0, 23, {})
_DAY = _Field("day of the month", 1, 31, {})
_MONTH = _Field("month", 1, 12, _MONTHS)
_WEEKDAY = _Field("day of the week", 1, 7, _WEEKDAYS)
_YEAR = _Field("year", 1970, 2199, {})


def _cron(text: str, inner: str) -> Cron:
    fields = inner.split(" ")
    if len(fields) != 6:
        raise InvalidSchedule(text, "cron has six fields: minute, hour, day of the month, month, day of the week, year")
    minutes, hours, days, months, weekdays, years = fields
    if (days == "?") is (weekdays == "?"):
        raise InvalidSchedule(text, "exactly one of day of the month and day of the week must be ?")
    try:
        near, plain_days = _days(days)
        return Cron(
            minutes=_listed(_MINUTE.numbers(minutes)),
            hours=_listed(_HOUR.numbers(hours)),
            days=plain_days,
            months=_listed(_MONTH.numbers(months)),
            weekdays=_weekdays(weekdays),
            years=tuple(_YEAR.numbers(years)),
            weekdays_near=near,
        )
    except ValueError as error:
        raise InvalidSchedule(text, str(error)) from error


def _listed(numbers: list[int]) -> str:
    return ",".join(map(str, numbers))


def _days(text: str) -> tuple[tuple[int, ...], str]:
    """Return the days of which the nearest weekday counts, and the others as cronsim reads them."""
    if text in ("?", "*"):
        return (), "*"
    near: list[int] = []
    others: list[str] = []
    for item in text.split(","):
        if match := _NEAREST_WEEKDAY.fullmatch(item):
            near.append(_DAY.value(match[1]))
        elif item in ("L", "LW"):
            others.append(item)
        else:
            others.append(_listed(list(_DAY.values(item))))
    return tuple(near), ",".join(others)


def _weekdays(text: str) -> str:
    """Return the days of the week as cronsim reads them, which counts from 0. `L` alone is the last: Saturday."""
    if text in ("?", "*"):
        return "*"
    found: list[str] = []
    for item in text.split(","):
        if item == "L":
            found.append("6")
        elif match := _LAST_OF_ITS_KIND.fullmatch(item):
            found.append(f"{_WEEKDAY.value(match[1]) - 1}L")
        elif match := _NTH_OF_ITS_KIND.fullmatch(item):
            found.append(f"{_WEEKDAY.value(match[1]) - 1}#{match[2]}")
        else:
            found.append(_listed([value - 1 for value in _WEEKDAY.values(item)]))
    return ",".join(found)


# Finding cron's next time.


def _next_of_cron(cron: Cron, after_ms: int) -> int | None:
    after = _EPOCH + timedelta(milliseconds=after_ms)
    for passage in _months(cron, after) if cron.weekdays_near else _years(cron, after):
        found = passage.first()
        if found is not None:
            return _ms(found)
    return None


@dataclass(frozen=True, slots=True)
class _Passage:
    """A stretch of time, from after `after` to before `end`, in which `fields` alone decide."""

    fields: str
    after: datetime
    end: datetime

    def first(self) -> datetime | None:
        try:
            found = next(CronSim(self.fields, self.after), None)
        except CronSimError:  # days that no month has, such as the 30th of February
            return None
        return found if found is not None and found < self.end else None


def _years(cron: Cron, after: datetime) -> Iterator[_Passage]:
    """Yield a passage for each run of years that follow each other."""
    fields = f"{cron.minutes} {cron.hours} {cron.days} {cron.months} {cron.weekdays}"
    for first, last in _runs([year for year in cron.years if year >= after.year]):
        yield _Passage(fields, max(after, _before(first, 1)), datetime(last + 1, 1, 1, tzinfo=UTC))


def _months(cron: Cron, after: datetime) -> Iterator[_Passage]:
    """Yield a passage for each month, with the weekdays that are nearest to what is asked for in it."""
    for year in cron.years:
        for month in map(int, cron.months.split(",")):
            if (year, month) < (after.year, after.month):
                continue
            length = calendar.monthrange(year, month)[1]
            days = [str(_weekday_near(year, month, day)) for day in cron.weekdays_near if day <= length]
            if cron.days:
                days.append(cron.days)
            if days:
                fields = f"{cron.minutes} {cron.hours} {','.join(days)} {month} *"
                end = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
                yield _Passage(fields, max(after, _before(year, month)), end)


def _weekday_near(year: int, month: int, day: int) -> int:
    """Return the day from Monday to Friday that is nearest to `day`, within the month."""
    weekday = calendar.weekday(year, month, day)
    if weekday == calendar.SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == calendar.SUNDAY:
        return day + 1 if day < calendar.monthrange(year, month)[1] else day - 2
    return day


def _runs(years: list[int]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last year of each run without gaps."""
    start = 0
    for index in range(1, len(years) + 1):
        if index == len(years) or years[index] != years[index - 1] + 1:
            yield years[start], years[index - 1]
            start = index


def _before(year: int, month: int) -> datetime:
    return datetime(year, month, 1, tzinfo=UTC) - timedelta(seconds=1)


def _ms(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)
