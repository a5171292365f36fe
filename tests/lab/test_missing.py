import pytest

from so1s_lab.part import MissingPartError
from tests.lab import missing


@pytest.mark.parametrize(("required", "end"), [(True, pytest.fail.Exception), (False, pytest.skip.Exception)])
def test_what_is_missing_fails_where_it_is_required_and_is_skipped_elsewhere(required, end, monkeypatch):
    monkeypatch.setattr(missing, "REQUIRED", required)
    with pytest.raises(end, match="Go"):
        missing.end_for_want_of("Go")
    with pytest.raises(end, match="no etcd"), missing.skipped_where_missing():
        raise MissingPartError("no etcd")
