"""A small OpenAI-like server of known delays, to try load generators on: ``python tools/stream_server.py PORT [TTFT TPOT]``.

Every request gets its first token after TTFT [s] and one more every TPOT [s], however many run. Standard library only.
"""

from __future__ import annotations

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "Qwen/Qwen3-8B"
TTFT_S, TPOT_S = 0.3, 0.03
WORDS = [f"w{i}" for i in range(1000)]


class Handler(BaseHTTPRequestHandler):
    """Completions and chat completions, streamed or not; the model list."""

    protocol_version = "HTTP/1.1"
    ttft_s, tpot_s = TTFT_S, TPOT_S

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _json(self, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        """The model list for ``/v1/models``; else that all is well."""
        listed = {"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "test"}]}
        self._json(listed if self.path.endswith("/models") else {"status": "ok"})

    def do_POST(self) -> None:
        """A completion of as many tokens as asked for."""
        asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        chat = "chat" in self.path
        count = int(asked.get("max_completion_tokens") or asked.get("max_tokens") or 16)
        prompt = asked.get("prompt") or "".join(str(item.get("content")) for item in asked.get("messages", []))
        read = len(prompt) if isinstance(prompt, list) else len(str(prompt).split())
        usage = {"prompt_tokens": read, "completion_tokens": count, "total_tokens": read + count}
        head = {
            "id": "x",
            "object": "chat.completion.chunk" if chat else "text_completion",
            "created": 1,
            "model": MODEL,
        }
        if not asked.get("stream"):
            time.sleep(self.ttft_s + self.tpot_s * (count - 1))
            text = " ".join(WORDS[i % 1000] for i in range(count))
            choice = {"index": 0, "finish_reason": "length"}
            choice |= {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
            self._json({**head, "choices": [choice], "usage": usage})
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        start = time.perf_counter()
        for i in range(count):
            time.sleep(max(0.0, start + self.ttft_s + i * self.tpot_s - time.perf_counter()))
            text = WORDS[i % 1000] + " "
            done = "length" if i == count - 1 else None
            part = {"delta": {"role": "assistant", "content": text}} if chat else {"text": text}
            self._chunk({**head, "choices": [{"index": 0, "finish_reason": done, **part}]})
        self._chunk({**head, "choices": [], "usage": usage})
        self._chunk("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, data: object) -> None:
        body = f"data: {data if isinstance(data, str) else json.dumps(data)}\n\n".encode()
        self.wfile.write(f"{len(body):x}\r\n".encode() + body + b"\r\n")
        self.wfile.flush()


class Server(ThreadingHTTPServer):
    """Takes many connections at once."""

    request_queue_size = 256
    daemon_threads = True


def main() -> None:
    """Serve until stopped."""
    port = int(sys.argv[1])
    if len(sys.argv) > 3:
        Handler.ttft_s, Handler.tpot_s = float(sys.argv[2]), float(sys.argv[3])
    Server(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main()
