"""An OpenAI-compatible endpoint of chat completions that misbehaves first, then answers."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class FakeLlm:
    """What the server answers, and what it was asked.

    ``faults`` are played first: a status, ``"hang"``, ``"drop"``, or a body sent as it is.
    """

    write: Callable[[str], str] = lambda prompt: f"answer to: {prompt}"
    faults: list[Any] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""


@contextmanager
def fake_llm(llm: FakeLlm) -> Iterator[FakeLlm]:
    """Serve until the block ends."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                llm.bodies.append(body)
                llm.headers.append({k.lower(): v for k, v in self.headers.items()})
                fault = llm.faults.pop(0) if llm.faults else None
            if fault == "drop":
                self.connection.close()
                return
            if fault == "hang":
                time.sleep(1.0)
                self.connection.close()
                return
            if isinstance(fault, int):
                self._answer(fault, json.dumps({"error": {"message": "no"}}))
                return
            if fault is not None:
                self._answer(200, fault)
                return
            prompt = body["messages"][-1]["content"]
            with lock:
                llm.prompts.append(prompt)
            message = {"role": "assistant", "content": llm.write(prompt)}
            usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": 7}
            self._answer(200, json.dumps({"choices": [{"message": message}], "usage": usage}))

        def _answer(self, status: int, text: str) -> None:
            data = text.encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    llm.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield llm
    finally:
        server.shutdown()
        server.server_close()
