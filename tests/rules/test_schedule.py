"""Schedule expressions: what is one, and when it fires. Source: lambda-semantics §6.5."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter.rules.schedule import LAST_MS, At, Cron, InvalidSchedule, Rate, next_after, parse

pytestmark = pytest.mark.unit

MINUTE_MS = 60_000


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000)


def text(at_ms: int | None) -> str:
    return "never" if at_ms is None else f"{datetime.fromtimestamp(at_ms / 1_000, UTC):%Y-%m-%dT%H:%M:%S}"


def firings(expression: str, after: str, count: int = 3, anchor: str | None = None) -> list[str]:
    """Return the first firings after a time; `never` stands for the end."""
    found: list[str] = []
    at_ms: int | None = ms(after)
    while at_ms is not None and len(found) < count:
        at_ms = next_after(parse(expression), at_ms, anchor_ms=ms(anchor or after))
        found.append(text(at_ms))
    return found


@pytest.mark.parametrize(
    ("expression", "period_s"),
    [
        ("rate(1 minute)", 60),
        ("rate(5 minutes)", 300),
        ("rate(1 hour)", 3_600),
        ("rate(12 hours)", 43_200),
        ("rate(1 day)", 86_400),
        ("rate(30 days)", 2_592_000),
    ],
)
def test_a_rate_is_a_number_of_minutes_hours_or_days(expression: str, period_s: int) -> None:
    assert parse(expression) == Rate(period_s * 1_000)


def test_a_rate_fires_first_a_period_after_its_anchor_and_then_keeps_its_phase() -> None:
    assert firings("rate(5 minutes)", "2026-01-01T00:00:07") == [
        "2026-01-01T00:05:07",
        "2026-01-01T00:10:07",
        "2026-01-01T00:15:07",
    ]
    assert firings("rate(5 minutes)", "2026-01-01T09:59:00", 1, anchor="2026-01-01T00:00:07") == ["2026-01-01T10:00:07"]
    assert firings("rate(1 hour)", "2026-01-01T00:00:00", 1, anchor="2026-01-01T03:30:00") == ["2026-01-01T04:30:00"]


@pytest.mark.parametrize(
    "expression",
    [
        "rate(1 minutes)",
        "rate(10 minute)",
        "rate(0 minutes)",
        "rate(-10 minutes)",
        "rate(10)",
        "rate(10 seconds)",
        "rate( 10 minutes )",
        "rate(10  minutes)",
        "rate(01 minutes)",
        "rate(1.5 hours)",
        " rate(10 minutes)",
        "Rate(10 minutes)",
        "rate(10 MINUTES)",
        "cron(0 1 * * * *)",
        "cron(0 1 ? * ? *)",
        "cron(71 8 1 * ? *)",
        "cron(7 20 * * NOT *)",
        "cron(0 8 * * ?)",
        "cron(0 0 8 * * ? *)",
        "cron(0  8 * * ? *)",
        "cron( 0 8 * * ? *)",
        "cron()",
        "cron(0 24 * * ? *)",
        "cron(0 8 0 * ? *)",
        "cron(0 8 32 * ? *)",
        "cron(0 8 1 13 ? *)",
        "cron(0 8 1 FOO ? *)",
        "cron(0 8 ? * 0 *)",
        "cron(0 8 ? * 8 *)",
        "cron(0 8 ? * MON#6 *)",
        "cron(0 8 ? * MON#0 *)",
        "cron(0 8 ? * #1 *)",
        "cron(0 8 32W * ? *)",
        "cron(0 8 W * ? *)",
        "cron(0 8 * * ? 1969)",
        "cron(0 8 * * ? 2200)",
        "cron(*-5 8 * * ? *)",
        "cron(5-2 8 * * ? *)",
        "cron(0/0 8 * * ? *)",
        "cron(/5 8 * * ? *)",
        "cron(1,,2 8 * * ? *)",
        "cron(? 8 * * ? *)",
        "cron(L 8 * * ? *)",
        "cron(0 8 * ? ? *)",
        "cron(٣ 8 * * ? *)",
        "at(2021-12-31T23:59:59Z)",
        "at(2021-12-31)",
        "at(2021-12-31T23:59)",
        "at(2021-02-30T00:00:00)",
        "every minute",
        "",
    ],
)
def test_what_is_no_schedule_is_refused_with_a_reason(expression: str) -> None:
    with pytest.raises(InvalidSchedule) as refusal:
        parse(expression)

    assert refusal.value.reason
    assert repr(expression) in str(refusal.value)


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("cron(0 8 * * ? *)", "2026-01-01T08:00:00", "2026-01-02T08:00:00"),
        ("cron(0 8 * * ? *)", "2026-01-01T07:59:59", "2026-01-01T08:00:00"),
        ("cron(*/15 * * * ? *)", "2026-01-01T00:01:00", "2026-01-01T00:15:00"),
        ("cron(0/5 5 ? JAN 1-5 2022)", "2021-06-01T00:00:00", "2022-01-02T05:00:00"),
        ("cron(0-15/1 8-8 ? * 2,3,4 *)", "2026-01-01T00:00:00", "2026-01-05T08:00:00"),
        ("cron(0 0 ? * SUN *)", "2026-01-01T00:00:00", "2026-01-04T00:00:00"),
        ("cron(0 0 ? * 1 *)", "2026-01-01T00:00:00", "2026-01-04T00:00:00"),
        ("cron(0 0 ? * 7 *)", "2026-01-01T00:00:00", "2026-01-03T00:00:00"),
        ("cron(0 0 ? * L *)", "2026-01-01T00:00:00", "2026-01-03T00:00:00"),
        ("cron(0 18 ? * MON-FRI *)", "2026-01-02T18:00:00", "2026-01-05T18:00:00"),
        ("cron(0 18 ? * mon-fri *)", "2026-01-02T18:00:00", "2026-01-05T18:00:00"),
        ("cron(15 10 ? * 6L 2002-2005)", "2003-01-01T00:00:00", "2003-01-31T10:15:00"),
        ("cron(15 10 ? * 6L 2002-2005)", "2005-12-30T10:15:00", "never"),
        ("cron(0 2 ? * SAT#3 *)", "2026-01-01T00:00:00", "2026-01-17T02:00:00"),
        ("cron(0 0 ? * MON#5 *)", "2026-01-01T00:00:00", "2026-03-30T00:00:00"),
        ("cron(0 0 L * ? *)", "2026-02-01T00:00:00", "2026-02-28T00:00:00"),
        ("cron(0 0 LW * ? *)", "2026-01-01T00:00:00", "2026-01-30T00:00:00"),
        ("cron(0 0 1W * ? *)", "2026-07-31T00:00:00", "2026-08-03T00:00:00"),  # the 1st is a Saturday
        ("cron(0 0 15W * ? *)", "2026-08-01T00:00:00", "2026-08-14T00:00:00"),  # a Saturday
        ("cron(0 0 15W * ? *)", "2026-11-01T00:00:00", "2026-11-16T00:00:00"),  # a Sunday
        ("cron(0 0 31W * ? *)", "2026-05-01T00:00:00", "2026-05-29T00:00:00"),  # a Sunday, the last of the month
        ("cron(0 0 31W * ? *)", "2026-06-01T00:00:00", "2026-07-31T00:00:00"),  # June has no 31st
        ("cron(0 0 15W,1 * ? *)", "2026-08-15T00:00:00", "2026-09-01T00:00:00"),
        ("cron(0 0 15W 3/6 ? 2027-2028)", "2026-01-01T00:00:00", "2027-03-15T00:00:00"),
        ("cron(0 0 15W 3 ? 2020)", "2026-01-01T00:00:00", "never"),
        ("cron(0 0 29 2 ? *)", "2026-01-01T00:00:00", "2028-02-29T00:00:00"),
        ("cron(0 0 30 2 ? *)", "2026-01-01T00:00:00", "never"),
        ("cron(0 0 29 2 ? 2025,2027)", "2024-01-01T00:00:00", "never"),
        ("cron(0 0 1 1 ? 2025,2027,2030-2031)", "2025-01-01T00:00:00", "2027-01-01T00:00:00"),
        ("cron(0 0 1 1 ? 2025,2027,2030-2031)", "2027-01-01T00:00:00", "2030-01-01T00:00:00"),
        ("cron(59 23 31 12 ? 2199)", "2026-01-01T00:00:00", "2199-12-31T23:59:00"),
        ("cron(5/20 0 1 * ? *)", "2026-01-01T00:05:00", "2026-01-01T00:25:00"),
        ("cron(0 8-10/2 * * ? *)", "2026-01-01T08:00:00", "2026-01-01T10:00:00"),
        ("at(2026-01-31T08:00:00)", "2026-01-31T07:59:59", "2026-01-31T08:00:00"),
        ("at(2026-01-31T08:00:00)", "2026-01-31T08:00:00", "never"),
    ],
)
def test_a_schedule_fires_at(expression: str, after: str, expected: str) -> None:
    assert firings(expression, after, 1) == [expected]


def test_at_is_one_moment() -> None:
    assert parse("at(2026-01-31T08:00:00)") == At(ms("2026-01-31T08:00:00"))


def test_a_rate_beyond_the_last_year_never_fires() -> None:
    assert next_after(parse("rate(9999999999 days)"), 0, anchor_ms=0) is None


times = st.integers(ms("1990-01-01"), ms("2100-01-01"))
periods = st.tuples(st.integers(2, 10_000), st.sampled_from(["minutes", "hours", "days"]))


def listed(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(st.just("*"), st.lists(values, min_size=1, max_size=3).map(",".join))


def numbers(first: int, last: int) -> st.SearchStrategy[str]:
    plain = st.integers(first, last).map(str)
    ranges = st.tuples(st.integers(first, last), st.integers(first, last)).map(
        lambda ends: "-".join(map(str, sorted(ends)))
    )
    steps = st.tuples(st.one_of(st.just("*"), plain, ranges), st.integers(1, last)).map(
        lambda step: f"{step[0]}/{step[1]}"
    )
    return st.one_of(plain, ranges, steps)


days = st.one_of(numbers(1, 28), st.just("L"), st.just("LW"), st.integers(1, 31).map(lambda day: f"{day}W"))
weekdays = st.one_of(
    numbers(1, 7),
    st.just("L"),
    st.integers(1, 7).map(lambda day: f"{day}L"),
    st.tuples(st.sampled_from(["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]), st.integers(1, 4)).map(
        lambda nth: f"{nth[0]}#{nth[1]}"
    ),
)
crons = st.tuples(
    listed(numbers(0, 59)),
    listed(numbers(0, 23)),
    st.one_of(
        st.tuples(listed(days), listed(numbers(1, 12)), st.just("?")),
        st.tuples(st.just("?"), listed(numbers(1, 12)), listed(weekdays)),
    ),
).map(lambda parts: f"cron({parts[0]} {parts[1]} {' '.join(parts[2])} *)")


@pytest.mark.property
@given(periods, times, times)
def test_a_rate_is_always_a_whole_number_of_periods_from_its_anchor(
    period: tuple[int, str], anchor_ms: int, after_ms: int
) -> None:
    expression = parse(f"rate({period[0]} {period[1]})")
    assert isinstance(expression, Rate)

    due_ms = next_after(expression, after_ms, anchor_ms=anchor_ms)

    assert due_ms is not None
    assert due_ms > after_ms
    assert due_ms > anchor_ms
    assert (due_ms - anchor_ms) % expression.period_ms == 0
    assert due_ms - expression.period_ms <= max(after_ms, anchor_ms)


@pytest.mark.property
@given(crons, times)
def test_cron_fires_later_on_the_minute_and_whatever_the_anchor(expression: str, after_ms: int) -> None:
    parsed = parse(expression)

    due_ms = next_after(parsed, after_ms, anchor_ms=0)

    if due_ms is not None:
        assert after_ms < due_ms <= LAST_MS
        assert due_ms % MINUTE_MS == 0
        assert next_after(parsed, after_ms, anchor_ms=after_ms) == due_ms
        assert next_after(parsed, due_ms - 1, anchor_ms=0) == due_ms, "nothing lies between"


@pytest.mark.property
@given(crons, times, st.integers(0, 400 * 86_400_000))
def test_next_never_goes_back(expression: str, after_ms: int, later_ms: int) -> None:
    parsed = parse(expression)
    assert isinstance(parsed, Cron)

    first = next_after(parsed, after_ms, anchor_ms=0)
    second = next_after(parsed, after_ms + later_ms, anchor_ms=0)

    if first is not None and second is not None:
        assert first <= second
        if after_ms + later_ms < first:
            assert first == second


@pytest.mark.property
@given(crons, times)
def test_cron_fires_when_a_look_at_each_minute_says_so(expression: str, after_ms: int) -> None:
    """Beside a slow reference that looks at every minute of two days."""
    due_ms = next_after(parse(expression), after_ms, anchor_ms=0)

    start = datetime.fromtimestamp(after_ms // MINUTE_MS * 60, UTC)
    wanted = next(
        (
            at
            for minute in range(1, 2 * 1_440)
            if matches(
                expression.removeprefix("cron(").removesuffix(")").split(), at := start + timedelta(minutes=minute)
            )
        ),
        None,
    )
    if wanted is not None:
        assert text(due_ms) == f"{wanted:%Y-%m-%dT%H:%M:%S}"
    else:
        assert due_ms is None or due_ms >= round((start + timedelta(days=2)).timestamp() * 1_000)


def matches(fields: list[str], at: datetime) -> bool:
    minute, hour, day, month, weekday, _ = fields
    return (
        holds(minute, at.minute, 0, 59)
        and holds(hour, at.hour, 0, 23)
        and holds(month, at.month, 1, 12)
        and (day == "?" or any(is_day(item, at) for item in day.split(",")))
        and (weekday == "?" or any(is_weekday(item, at) for item in weekday.split(",")))
    )


def holds(field: str, value: int, first: int, last: int) -> bool:
    for item in field.split(","):
        span, _, step = item.partition("/")
        start, _, end = span.partition("-")
        low = first if start == "*" else int(start)
        high = last if start == "*" or (step and not end) else int(end or start)
        if low <= value <= high and (value - low) % int(step or 1) == 0:
            return True
    return False


def is_day(item: str, at: datetime) -> bool:
    last = (at.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    if item == "L":
        return at.day == last.day
    if item == "LW":
        return at.day == max(day for day in range(last.day - 2, last.day + 1) if at.replace(day=day).weekday() < 5)
    if item.endswith("W"):
        wanted = int(item[:-1])
        if wanted > last.day or at.weekday() > 4:
            return False
        near = [day for day in range(1, last.day + 1) if at.replace(day=day).weekday() < 5]
        return at.day == min(near, key=lambda day: abs(day - wanted))
    return holds(item, at.day, 1, 31)


def is_weekday(item: str, at: datetime) -> bool:
    names = {"SUN": 1, "MON": 2, "TUE": 3, "WED": 4, "THU": 5, "FRI": 6, "SAT": 7}
    today = at.isoweekday() % 7 + 1
    if item == "L":
        return today == 7
    if item.endswith("L"):
        return today == int(item[:-1]) and (at + timedelta(days=7)).month != at.month
    if "#" in item:
        name, _, nth = item.partition("#")
        return today == names[name] and (at.day - 1) // 7 + 1 == int(nth)
    return holds(item, today, 1, 7)
