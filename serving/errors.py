"""Errors of the encoder server."""


class ServingError(Exception):
    """The server cannot start or serve as asked."""


class RequestError(ServingError):
    """A request that is not served; becomes an answer with a status.

    Its message goes to the client: it never holds the text it is about.

    Attributes:
        status: HTTP status.
        code: A word for programs.
        retry_after: Seconds after which asking again makes sense.
    """

    def __init__(
        self, message: str, *, status: int = 400, code: str, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after = retry_after


class OverloadedError(RequestError):
    """More is waiting than the server takes."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message, status=503, code="overloaded", retry_after=retry_after)


class StoppingError(RequestError):
    """The server is going down."""

    def __init__(self) -> None:
        super().__init__(
            "The server is stopping and takes nothing new; ask again in a moment.",
            status=503,
            code="stopping",
            retry_after=5,
        )


class DeadlineError(RequestError):
    """A request was not done in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"Not done within {seconds:g} s: the server is busy. Send fewer texts, or ask again.",
            status=503,
            code="deadline",
            retry_after=1,
        )


class ClientGoneError(ServingError):
    """The client closed the connection before its answer was ready."""
