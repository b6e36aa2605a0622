"""A small server of the OpenAI API with known delays, to hold load generators and the readers of their files against.

``python tools/streaming_server.py --port 8765 --ttft 0.3 --tpot 0.05``: every request's first token comes after ``--ttft``
seconds, each other one ``--tpot`` seconds later, as many as ``max_tokens`` says. Whatever the load, in flight are rate
times (ttft + tpot * (tokens - 1)).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from typing import Any

MOST_TOKENS = 4096


def _wanted(body: dict[str, Any]) -> int:
    for key in ("max_completion_tokens", "max_tokens", "max_output_tokens"):
        if isinstance(body.get(key), int):
            return max(1, min(int(body[key]), MOST_TOKENS))
    return 16


def _prompt_tokens(body: dict[str, Any]) -> int:
    """Bytes of the prompt, which are its tokens for a tokenizer of bytes; the tokens where it is a list of them."""
    prompt: Any = body.get("prompt")
    if prompt is None:
        messages = body.get("messages") or []
        parts = [message.get("content") for message in messages if isinstance(message, dict)]
        texts = [
            part if isinstance(part, str) else " ".join(str(x.get("text", "")) for x in part or []) for part in parts
        ]
        prompt = " ".join(texts)
    if isinstance(prompt, list):
        return len(prompt) if prompt and isinstance(prompt[0], int) else sum(len(str(item).encode()) for item in prompt)
    return len(str(prompt).encode())


class Server:
    """Answers ``/v1/models``, ``/v1/completions`` and ``/v1/chat/completions``; delays in seconds."""

    def __init__(self, model: str, ttft: float, tpot: float) -> None:
        self.model, self.ttft, self.tpot = model, ttft, tpot

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, kept alive."""
        try:
            while line := await reader.readline():
                method, path, *_ = line.decode("latin-1").split()
                length = 0
                while (header := await reader.readline()) not in (b"\r\n", b""):
                    name, _, value = header.decode("latin-1").partition(":")
                    length = int(value) if name.strip().lower() == "content-length" else length
                body = await reader.readexactly(length) if length else b""
                await self.answer(method, path.partition("?")[0], body, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ValueError):
            pass
        finally:
            writer.close()

    async def answer(self, method: str, path: str, body: bytes, writer: asyncio.StreamWriter) -> None:
        """One request; times count from here."""
        came = time.monotonic()
        if method == "POST" and path.endswith("/completions"):
            await self.complete(json.loads(body or b"{}"), "chat" in path, came, writer)
            return
        models = {"object": "list", "data": [{"id": self.model, "object": "model", "max_model_len": 32768}]}
        await self.whole(models if path.endswith("/models") else {"status": "ok"}, writer)

    async def whole(self, document: object, writer: asyncio.StreamWriter) -> None:
        """A plain JSON answer."""
        data = json.dumps(document).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data)
        await writer.drain()

    async def complete(self, body: dict[str, Any], chat: bool, came: float, writer: asyncio.StreamWriter) -> None:
        """The tokens, streamed where asked for."""
        count, given = _wanted(body), _prompt_tokens(body)
        usage = {"prompt_tokens": given, "completion_tokens": count, "total_tokens": given + count}
        kind = "chat.completion" if chat else "text_completion"
        base: dict[str, Any] = {"id": "x", "object": kind, "created": 1, "model": body.get("model", self.model)}
        if not body.get("stream"):
            await asyncio.sleep(self.ttft + self.tpot * (count - 1))
            text = " ".join(["word"] * count)
            inner = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
            await self.whole(
                {**base, "choices": [{"index": 0, "finish_reason": "length", **inner}], "usage": usage}, writer
            )
            return
        head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head.encode())
        if chat:
            base["object"] = "chat.completion.chunk"
        for index in range(count):
            await asyncio.sleep(max(0.0, came + self.ttft + self.tpot * index - time.monotonic()))
            end = "length" if index == count - 1 else None
            inner = {"delta": {"role": "assistant", "content": " word"}} if chat else {"text": " word"}
            await self.event({**base, "choices": [{"index": 0, "finish_reason": end, **inner}]}, writer)
        await self.event({**base, "choices": [], "usage": usage}, writer)
        await self.event("[DONE]", writer)
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def event(self, document: object, writer: asyncio.StreamWriter) -> None:
        """One server-sent event as one chunk."""
        text = document if isinstance(document, str) else json.dumps(document)
        data = f"data: {text}\n\n".encode()
        writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        await writer.drain()


async def serve(model: str, port: int, ttft: float, tpot: float) -> None:
    """Serve until stopped."""
    server = await asyncio.start_server(Server(model, ttft, tpot).handle, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Read the flags and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="Qwen/Qwen3-8B")
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--ttft", type=float, default=0.3, help="seconds")
    parser.add_argument("--tpot", type=float, default=0.05, help="seconds")
    given = parser.parse_args()
    asyncio.run(serve(given.model, given.port, given.ttft, given.tpot))


if __name__ == "__main__":
    main()
