"""The HTTP part: routes, streams, errors, and the end of a request whose reader has left.

In: a `Service`. Out: an application in the form of the OpenAI API. A request's row is committed
before the last byte of its reply goes out. Left out: TLS, CORS, rate limits, slow readers: what
stands in front of a server does those.
"""

import asyncio
import secrets
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from minillm.serve.engine import run_engine
from minillm.serve.incoming import check_key, json_body, reader_left
from minillm.serve.protocol import (
    ApiError, ChatRequest, CompletionRequest, FeedbackRequest, choice, envelope, parsed,
    server_sent, usage,
)  # fmt: skip
from minillm.serve.service import Call, Service, ended

PAGE = Path(__file__).parent / "page" / "chat.html"
# the page needs no other host, and may not reach one
PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'"
)
COMPLETIONS, CHAT = "/v1/completions", "/v1/chat/completions"
ID_PREFIX = {COMPLETIONS: "cmpl", CHAT: "chatcmpl"}
Handler = Callable[[Request], Awaitable[Response]]
Piece = tuple[str, str | None]


# package only
def answered(handler: Handler) -> Handler:
    """Give each request an id, which its reply carries, and each error the API's form."""

    async def endpoint(request: Request) -> Response:
        prefix = ID_PREFIX.get(request.url.path, "req")
        request.state.id = f"{prefix}-{secrets.token_hex(12)}"
        try:
            response = await handler(request)
        except ApiError as error:
            response = JSONResponse(error.body(), error.status, error.headers)
        response.headers["x-request-id"] = request.state.id
        return response

    return endpoint


# package only
class Api:
    """The routes of one service."""

    def __init__(self, service: Service) -> None:
        self.service, self.config = service, service.config

    async def generate(self, request: Request) -> Response:
        """Completions and chats, in one piece or as a stream."""
        is_chat, pieces = request.url.path == CHAT, asyncio.Queue()
        loop = asyncio.get_running_loop()
        address = request.client.host if request.client else ""
        call = Call(id=request.state.id, endpoint=request.url.path, address=address)

        def deliver(text: str, reason: str | None) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody is left to read
                loop.call_soon_threadsafe(pieces.put_nowait, (text, reason))

        try:
            check_key(request, self.config.api_key_sha256)
            body = await json_body(request, self.config.max_body_bytes)
            asked = parsed(ChatRequest if is_chat else CompletionRequest, body)
            self.service.submit(call, asked, deliver)
        except (ApiError, ClientDisconnect) as error:
            refusal = error if isinstance(error, ApiError) else ended(None)
            self.service.record(call, refusal)
            raise refusal from None
        if asked.stream:
            events = self.events(call, pieces, asked.stream_options.include_usage)
            return StreamingResponse(events, media_type="text/event-stream")
        leaving = asyncio.create_task(self.leave(request, call))
        parts = [piece async for piece in self.recorded(call, pieces)]
        leaving.cancel()
        text, reason = "".join(text for text, _ in parts), parts[-1][1]
        reply = {"choices": [choice(is_chat, text, reason, "whole")], "usage": self.usage(call)}
        return JSONResponse(self.envelope(call, "whole") | reply)

    async def leave(self, request: Request, call: Call) -> None:
        """A request whose reader has left is not worth another step."""
        await reader_left(request)
        call.generation.is_cancelled = True

    async def recorded(self, call: Call, pieces: asyncio.Queue[Piece]) -> AsyncIterator[Piece]:
        """A reply's pieces; its row is committed before the last one, or when its reader leaves."""
        reason = None
        try:
            while reason is None:
                text, reason = await pieces.get()
                if reason in ("stop", "length"):
                    self.service.record(call)
                elif reason is not None:
                    self.service.record(call, ended(reason))
                    raise ended(reason)
                yield text, reason
        finally:
            if reason is None:
                call.generation.is_cancelled = True
                self.service.record(call, ended(None))

    async def events(
        self, call: Call, pieces: asyncio.Queue[Piece], wants_usage: bool
    ) -> AsyncIterator[str]:
        """The same reply as server-sent events, the last of them `[DONE]`."""
        stage, is_chat = "first", call.endpoint == CHAT
        async with aclosing(self.recorded(call, pieces)) as recorded:
            try:
                async for text, reason in recorded:
                    choices = [choice(is_chat, text, reason, stage)]
                    yield server_sent(self.envelope(call, stage) | {"choices": choices})
                    stage = "later"
            except ApiError as error:
                yield server_sent(error.body())
                return
        if wants_usage:
            counted = {"choices": [], "usage": self.usage(call)}
            yield server_sent(self.envelope(call, stage) | counted)
        yield server_sent("[DONE]")

    def envelope(self, call: Call, stage: str) -> dict:
        return envelope(call.endpoint == CHAT, stage, call.id, self.service.name, call.created_s)

    def usage(self, call: Call) -> dict[str, int]:
        return usage(len(call.prompt.ids), len(call.generation.reply))

    async def feedback(self, request: Request) -> Response:
        """A reader's judgement of a reply; whoever knows a reply's id may judge it."""
        check_key(request, self.config.api_key_sha256)
        given = parsed(FeedbackRequest, await json_body(request, self.config.max_body_bytes))
        if not self.service.rate(given):
            raise ApiError(404, "reply_not_found", f"no reply has the id {given.id!r}", "id")
        kept = given.correction is not None and self.config.log_text
        return JSONResponse({"id": given.id, "rating": given.rating, "correction_kept": kept})

    async def models(self, request: Request) -> Response:
        """The one model that is served: in a list, or by its name."""
        check_key(request, self.config.api_key_sha256)
        name, served = request.path_params.get("name"), self.service.name
        if name not in (None, served):
            words = f"{name!r} is not served; {served!r} is"
            raise ApiError(404, "model_not_found", words, "model")
        model = {"id": served, "object": "model", "owned_by": "minillm", **self.service.about()}
        return JSONResponse(model if name else {"object": "list", "data": [model]})

    async def health(self, request: Request) -> Response:
        """200 while the engine runs."""
        is_closed = self.service.engine.is_closed
        words = {"status": "stopped" if is_closed else "ok", "model": self.service.name}
        return JSONResponse(words, 503 if is_closed else 200)

    async def metrics(self, request: Request) -> Response:
        return Response(self.service.metrics.text(), media_type="text/plain; version=0.0.4")

    async def page(self, request: Request) -> Response:
        return FileResponse(PAGE, headers={"content-security-policy": PAGE_POLICY})

    async def lost(self, request: Request, error: HTTPException) -> Response:
        """A path or a method that is not there."""
        code, words = error.detail.lower().replace(" ", "_"), f"{request.method} {request.url.path}"
        body = ApiError(error.status_code, code, f"{words}: {error.detail.lower()}").body()
        return JSONResponse(body, error.status_code, error.headers)


# package only
def make_app(service: Service) -> Starlette:
    """The application; its engine steps in a thread of its own, from start-up to shutdown."""
    api, engine = Api(service), service.engine

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        thread = threading.Thread(target=run_engine, args=(engine,), name="engine")
        thread.start()
        yield
        engine.close()
        thread.join()
        service.log.close()

    posts = {COMPLETIONS: api.generate, CHAT: api.generate, "/v1/feedback": api.feedback}
    gets = {"/v1/models": api.models, "/v1/models/{name}": api.models, "/": api.page}
    gets |= {"/health": api.health, "/metrics": api.metrics}
    routes = [Route(path, answered(handler), methods=["POST"]) for path, handler in posts.items()]
    routes += [Route(path, answered(handler)) for path, handler in gets.items()]
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: api.lost})
