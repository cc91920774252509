"""How a run's model is served: where it listens, how many it serves at once, what it keeps.

Every bound is here, because a server without a bound fails at a time of somebody else's choosing.
"""

import ipaddress
from dataclasses import dataclass

SHA256_DIGITS = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class ServeConfig:
    """`num_slots` is the decode width; `api_key_sha256` is the SHA-256 of the key asked for."""

    host: str = "127.0.0.1"
    port: int = 8000
    num_slots: int = 8
    max_queue: int = 64
    max_body_bytes: int = 1 << 20
    max_tokens: int = 256
    log_text: bool = False
    api_key_sha256: str | None = None

    def __post_init__(self) -> None:
        refuse_impossible_service(self)


# package only
def refuse_impossible_service(config: ServeConfig) -> None:
    """ValueError naming the field, its value, what is allowed and what to change."""
    try:
        if config.host != "localhost":
            ipaddress.ip_address(config.host)
    except ValueError:
        raise ValueError(
            f"host = {config.host!r}: give an address of this machine, such as 127.0.0.1 "
            "(this machine alone) or 0.0.0.0 (everyone who can reach it)"
        ) from None
    if not 0 <= config.port <= 65_535:
        raise ValueError(f"port = {config.port}: must be 0 (any free port) to 65535")
    for name, why in (
        ("num_slots", "each slot serves one request at a time"),
        ("max_body_bytes", "a request has a body"),
        ("max_tokens", "a reply has at least one token"),
    ):
        if getattr(config, name) < 1:
            raise ValueError(f"{name} = {getattr(config, name)}: must be at least 1, since {why}")
    if config.max_queue < 0:
        raise ValueError(f"max_queue = {config.max_queue}: must be 0 (nobody waits) or more")
    key = config.api_key_sha256
    if key is not None and (len(key) != SHA256_DIGITS or set(key) - set("0123456789abcdef")):
        raise ValueError(
            f"api_key_sha256 has {len(key)} characters: give the {SHA256_DIGITS} hexadecimal "
            "digits of the key's SHA-256, or hand over the key in a file: --api-key-file FILE"
        )
