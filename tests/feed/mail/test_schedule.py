from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overparam.errors import BadInput
from overparam.feed.mail.schedule import check, next_due
from overparam.ledger.clock import shift, written

moments = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(written)


@given(moments, st.integers(0, 23))
def test_daily_is_the_next_such_hour(after, hour):
    due = next_due("daily", hour, after)
    ahead = datetime.fromisoformat(due) - datetime.fromisoformat(after)
    assert due[11:] == f"{hour:02d}:00:00.000000Z"
    assert 0 < ahead.total_seconds() <= 86_400
    assert shift(after, ahead) == due


@given(moments, st.integers(0, 23))
def test_weekly_is_the_next_monday(after, hour):
    due = datetime.fromisoformat(next_due("weekly", hour, after))
    ahead = due - datetime.fromisoformat(after)
    assert (due.weekday(), due.hour) == (0, hour)
    assert 0 < ahead.total_seconds() <= 7 * 86_400


@pytest.mark.parametrize(("frequency", "hour"), [("hourly", 7), ("daily", 24), ("daily", -1), ("daily", True)])
def test_refused(frequency, hour):
    with pytest.raises(BadInput):
        check(frequency, hour)
