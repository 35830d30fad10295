"""No message shows a piece of a database's password."""

from __future__ import annotations

import pytest

from target_eventgen.errors import SettingsError
from target_eventgen.store.connection import location_of

pytestmark = pytest.mark.pure


def test_a_password_with_unescaped_slashes_is_refused_and_not_shown() -> None:
    with pytest.raises(SettingsError) as refusal:
        location_of("postgresql://u:S3cret/with/slashes@host/x")
    assert "S3cret" not in str(refusal.value)
    assert "slashes" not in str(refusal.value)


def test_an_address_is_shown_without_its_password() -> None:
    assert location_of("postgresql://u:S3cret@db.example:5433/x") == 'db.example:5433, database "x"'
