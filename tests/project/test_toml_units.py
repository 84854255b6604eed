"""Durations and sizes as people write them."""

import pytest

from eventrouter.project.toml_units import hours, kibibytes, mebibytes, seconds

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "wanted"), [("0s", 0), ("30s", 30), ("5m", 300), ("6h", 21_600), ("7d", 604_800), ("1d2h3m4s", 93_784)]
)
def test_a_duration_has_units(text, wanted):
    assert seconds(text) == wanted


@pytest.mark.parametrize("value", ["", "30", 30, 1.5, True, None, "30 s", "1s1m", "-1s", "1w", "500ms", "1.5h"])
def test_what_is_no_duration_is_refused(value):
    with pytest.raises(ValueError, match='such as "30s"'):
        seconds(value)


def test_hours_are_whole():
    assert hours("7d") == 168
    with pytest.raises(ValueError, match="whole hours"):
        hours("90m")


@pytest.mark.parametrize(("text", "wanted"), [("1KB", 1), ("256 MB", 262_144), ("2GB", 2_097_152)])
def test_a_size_has_a_unit(text, wanted):
    assert kibibytes(text) == wanted


@pytest.mark.parametrize("value", ["", "256", 256, "256mb", "MB", "1.5GB", "-1MB"])
def test_what_is_no_size_is_refused(value):
    with pytest.raises(ValueError, match='such as "256KB"'):
        kibibytes(value)


def test_megabytes_are_whole():
    assert mebibytes("1GB") == 1024
    with pytest.raises(ValueError, match="whole megabytes"):
        mebibytes("100KB")
