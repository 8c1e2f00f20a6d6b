"""What can go wrong in the encoders package."""


class EncoderError(Exception):
    """An encoder cannot be loaded, or cannot encode; the message says how to go on."""


class MissingExtraError(EncoderError):
    """An optional dependency is absent; the message names the extra that brings it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is not installed. Install it with: pip install 'tandem-search[{extra}]'"
        )


class ParityError(EncoderError):
    """An exported model does not reproduce the model it was exported from."""


class GateError(EncoderError):
    """An exported graph was refused by the ONNX Runtime of ML Commons, or that cannot be had."""


class EncoderServiceError(EncoderError):
    """A remote embedding service refused, failed or answered nonsense."""
