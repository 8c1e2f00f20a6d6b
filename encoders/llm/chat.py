"""Chat completions of any OpenAI-compatible endpoint: the one way this project asks an LLM."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from encoders.errors import EncoderError, EncoderServiceError
from encoders.service_client import RetryPolicy, ServiceClient

KEY_VARIABLE = "TANDEM_LLM_KEY"
# Writing takes longer than embedding.
PATIENT = RetryPolicy(timeout=120.0)
_PATH = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class Completion:
    """What an LLM wrote, and what it cost.

    Attributes:
        text: Its answer, stripped.
        prompt_tokens: Tokens it read, 0 where the service does not say.
        completion_tokens: Tokens it wrote, 0 where the service does not say.
    """

    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True)
class ChatClient:
    """One model at one endpoint.

    Attributes:
        model: Name the endpoint knows the model by.
        client: Does the HTTP, with bounded retries.
        temperature: 0 asks for the likeliest answer.
        max_tokens: Longest answer.
    """

    model: str
    client: ServiceClient
    temperature: float = 0.0
    max_tokens: int = 512

    @classmethod
    def at(
        cls,
        address: str,
        *,
        temperature: float = 0.0,
        max_tokens: int = 512,
        policy: RetryPolicy = PATIENT,
    ) -> "ChatClient":
        """The model of an address.

        Args:
            address: ``MODEL@URL``, e.g. ``qwen3:8b@http://127.0.0.1:11434``; the URL without
                ``/v1``. The key, where one is needed, is read from ``TANDEM_LLM_KEY``.
            temperature: 0 asks for the likeliest answer.
            max_tokens: Longest answer.
            policy: How long a failing endpoint is asked again.

        Raises:
            EncoderError: The address is incomplete, or carries a secret.
        """
        model, _, url = address.rpartition("@http")
        url = f"http{url}".rstrip("/").removesuffix("/v1")
        parts = urlsplit(url)
        if not model or not parts.hostname:
            msg = (
                f"cannot read the address {address!r}; write MODEL@URL, for example "
                "qwen3:8b@http://127.0.0.1:11434"
            )
            raise EncoderError(msg)
        if parts.username or parts.password:
            msg = f"No secrets in an address: put the key into {KEY_VARIABLE} instead"
            raise EncoderError(msg)
        return cls(model, ServiceClient(url, KEY_VARIABLE, policy), temperature, max_tokens)

    def complete(self, prompt: str, *, system: str = "") -> Completion:
        """Ask once.

        Args:
            prompt: The user's message.
            system: The system's message, if any.

        Raises:
            EncoderServiceError: The endpoint refused, failed for too long, or answered nonsense.
        """
        messages = [{"role": "user", "content": prompt}]
        if system:
            messages.insert(0, {"role": "system", "content": system})
        body = {
            "model": self.model,
            "messages": messages,
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        }
        answer = self.client.post(_PATH, body)
        try:
            text = str(answer["choices"][0]["message"]["content"] or "").strip()
            usage = answer.get("usage") or {}
            read, wrote = usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0)
            return Completion(text, int(read or 0), int(wrote or 0))
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            msg = f"{self.client.url}{_PATH} did not answer in the form of chat completions"
            raise EncoderServiceError(msg) from error
