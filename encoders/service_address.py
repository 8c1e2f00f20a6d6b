"""How embedding services are named: ``openai:MODEL@URL``, ``cohere:MODEL``, ``tei:URL``."""

from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from encoders.errors import EncoderError

Protocol: TypeAlias = Literal["openai", "tei", "cohere"]

PROTOCOLS: tuple[Protocol, ...] = ("openai", "tei", "cohere")
DEFAULT_URLS = {"openai": "https://api.openai.com", "cohere": "https://api.cohere.com"}
KEY_VARIABLES = {
    "openai": "OPENAI_API_KEY",
    "tei": "TEI_API_KEY",
    "cohere": "COHERE_API_KEY",
}


@dataclass(frozen=True, slots=True)
class ServiceAddress:
    """Which model at which service.

    Attributes:
        protocol: How the service is spoken to.
        model: Name the service knows the model by; for TEI, a local tokenizer, or empty.
        url: Base address.
    """

    protocol: Protocol
    model: str
    url: str

    @property
    def name(self) -> str:
        """The address as it is given on the command line."""
        if DEFAULT_URLS.get(self.protocol) == self.url:
            return f"{self.protocol}:{self.model}"
        return f"{self.protocol}:{self.model}{'@' if self.model else ''}{self.url}"


def is_service(model: str) -> bool:
    """Whether a model's name is a service's address."""
    return model.partition(":")[0] in PROTOCOLS


def parse_address(model: str) -> ServiceAddress:
    """``openai:MODEL[@URL]``, ``cohere:MODEL[@URL]``, ``tei:[TOKENIZER@]URL``.

    Raises:
        EncoderError: The address is incomplete, or carries a password.
    """
    name, _, rest = model.partition(":")
    protocol = next((known for known in PROTOCOLS if known == name), None)
    if protocol is None:
        msg = f"{name!r} is no embedding service; known are {', '.join(PROTOCOLS)}"
        raise EncoderError(msg)
    place = max(rest.find("http://"), rest.find("https://"))
    label = (rest if place < 0 else rest[:place]).removesuffix("@")
    url = DEFAULT_URLS.get(protocol, "") if place < 0 else rest[place:].rstrip("/")
    if not url or (protocol != "tei" and not label):
        msg = (
            "Write openai:MODEL@URL, cohere:MODEL or tei:URL (URL begins with http:// or https://)"
        )
        raise EncoderError(msg)
    if urlsplit(url).username or urlsplit(url).password:
        msg = f"No secrets in an address: put the key into {KEY_VARIABLES[protocol]} instead"
        raise EncoderError(msg)
    return ServiceAddress(protocol, label, url)
