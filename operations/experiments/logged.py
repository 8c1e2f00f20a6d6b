"""A search whose log is kept in the cluster."""

from typing import Any

from encoders.options import LoadOptions
from operations.experiments.background_log import BackgroundLog
from operations.experiments.errors import ExperimentError
from operations.experiments.routing import INTERVAL_S
from operations.experiments.session import ExperimentSearch, open_search
from operations.feedback.privacy import SALT_VARIABLE, Privacy, read_salt
from operations.feedback.ubi import UbiLog


def open_logged_search(
    client: Any,
    index: str,
    *,
    options: LoadOptions | None = None,
    privacy: Privacy | None = None,
    interval_s: float = INTERVAL_S,
) -> ExperimentSearch:
    """A search that follows an alias and its experiment, and logs into the UBI indices.

    Args:
        client: The client.
        index: Logical name of the index.
        options: How models are loaded.
        privacy: What is written of a user; by default keys are hashed with the salt of the
            environment.
        interval_s: Seconds after which a swap or an experiment is noticed.

    Raises:
        ExperimentError: Keys are to be hashed, and there is no salt.
    """
    if privacy is None:
        if read_salt() is None:
            msg = (
                f"the log names users by hashed keys: set {SALT_VARIABLE} to a long random string "
                "(python -c 'import secrets; print(secrets.token_urlsafe(32))'), the same one on "
                "every server"
            )
            raise ExperimentError(msg)
        privacy = Privacy.of()
    log = BackgroundLog(UbiLog(client, privacy).record)
    return open_search(client, index, log, options=options, interval_s=interval_s)
