"""Nothing that leads to a person is written."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from operations.feedback.errors import FeedbackError
from operations.feedback.events import QueryEvent, UserEvent
from operations.feedback.privacy import SALT_VARIABLE, ClientCounts, Privacy

SALT = "sixteen characters"
MOMENT = datetime(2026, 3, 1, tzinfo=UTC)


def asked(text: str = "lost card", client: str | None = "anna") -> QueryEvent:
    return QueryEvent("q", text, MOMENT, client_id=client, session_id="s", shown=("a",))


@pytest.fixture(autouse=True)
def no_salt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SALT_VARIABLE, raising=False)


def test_a_client_keeps_one_name_that_does_not_say_who_it_is() -> None:
    privacy = Privacy(salt=SALT)
    first, second = privacy.clean(asked()), privacy.clean(UserEvent("click", MOMENT, "q", "anna"))
    assert first.client_id == second.client_id
    assert first.client_id.startswith("anon-")
    assert "anna" not in first.client_id
    assert first.client_id != privacy.clean(asked(client="bert")).client_id
    assert first.client_id != Privacy(salt=SALT + "!").clean(asked()).client_id
    assert first.session_id.startswith("anon-")


def test_a_hashed_id_stays_as_it_is_and_needs_no_salt() -> None:
    hashed = Privacy(salt=SALT).clean(asked())
    assert Privacy().clean(hashed) == hashed


def test_no_salt_no_hash() -> None:
    with pytest.raises(FeedbackError, match="no salt"):
        Privacy().clean(asked())
    nobody = QueryEvent("q", "lost card", MOMENT)
    assert Privacy().clean(nobody) == nobody


def test_ids_are_dropped_or_kept_on_request() -> None:
    dropped = Privacy(clients="drop").clean(asked())
    assert (dropped.client_id, dropped.session_id) == (None, None)
    assert Privacy(clients="keep").clean(asked()).client_id == "anna"


def test_personal_data_is_masked_in_queries_and_attributes() -> None:
    privacy = Privacy(clients="keep")
    event = QueryEvent(
        "q", "refund to me@example.com", MOMENT, attributes={"note": ["call 010-1234-5678"]}
    )
    cleaned = privacy.clean(event)
    assert cleaned.user_query == "refund to [EMAIL]"
    assert cleaned.attributes == {"note": ["call [PHONE]"]}
    done = privacy.clean(UserEvent("click", MOMENT, attributes={"said": "me@example.com"}))
    assert done.attributes == {"said": "[EMAIL]"}
    assert privacy.masked == {"email": 2, "phone": 1}


def test_the_salt_comes_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "salt"
    path.write_text(SALT + "\n")
    assert Privacy.of(salt_file=path).salt == SALT
    monkeypatch.setenv(SALT_VARIABLE, SALT)
    assert Privacy.of().salt == SALT
    path.write_text("short")
    with pytest.raises(FeedbackError, match="5 characters"):
        Privacy.of(salt_file=path)
    with pytest.raises(FeedbackError, match="cannot be read"):
        Privacy.of(salt_file=tmp_path)


def test_clients_are_counted_once_each() -> None:
    counts = ClientCounts(2)
    for client in ("a", "a", "a"):
        counts.add("robot's", client)
    for client in ("a", "b", "c"):
        counts.add("people's", client)
    assert not counts.enough("robot's")
    assert counts.enough("people's")
    assert not counts.enough("nobody's")
    assert ClientCounts(1).enough("nobody's")
