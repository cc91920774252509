"""What a request has to bring before anything is done for it: the key, a body in JSON, not too
large; and how the server learns that its reader has left.
"""

import hashlib
import hmac

from starlette.requests import Request

from minillm.serve.protocol import ApiError

# a body that is too large is read on, up to this many limits, so that its sender hears the answer
MAX_DRAINED = 16


# package only
def check_key(request: Request, api_key_sha256: str | None) -> None:
    """ApiError 401 unless the request carries the key, or none is asked for."""
    if api_key_sha256 is None:
        return
    kind, _, key = request.headers.get("authorization", "").partition(" ")
    sha256 = hashlib.sha256(key.strip().encode()).hexdigest()
    if kind.lower() != "bearer" or not hmac.compare_digest(sha256, api_key_sha256):
        words = "this server asks for a key: send the header Authorization: Bearer KEY"
        raise ApiError(401, "invalid_api_key", words)


async def json_body(request: Request, max_bytes: int) -> bytes:
    """The body, as JSON and within the limit; ApiError 413 or 415."""
    # any other type may be posted by a page of another site without the browser asking first
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        words = "send the body as JSON, with the header Content-Type: application/json"
        raise ApiError(415, "unsupported_media_type", words)
    kept, num_bytes = [], 0
    async for chunk in request.stream():
        num_bytes += len(chunk)
        if num_bytes <= max_bytes:
            kept.append(chunk)
        elif num_bytes > MAX_DRAINED * max_bytes:
            break
    if num_bytes > max_bytes:
        raise ApiError(413, "body_too_large", f"a body may have at most {max_bytes} bytes")
    return b"".join(kept)


# package only
async def reader_left(request: Request) -> None:
    """Return when the connection is closed from the other side."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
