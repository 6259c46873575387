"""The JWT of the tenant's own login, by PyJWT (the extra `jwt`), which is imported late."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from importlib import import_module
from math import isfinite
from typing import Any, Literal, get_args

from ctxbridge.bridge.signing import Secrets
from ctxbridge.bridge.tokens import (
    Vouched,
    require_short,
    require_unexpired,
)
from ctxbridge.errors import ConfigurationError, TokenInvalid
from ctxbridge.model import Address

Algorithm = Literal["HS256", "RS256", "ES256"]

MOST_LEEWAY_SECONDS = 300.0
LEAST_RSA_BITS = 2048
_MOST_NAME_CHARACTERS = 200
_OF_TIME = ("verify_exp", "verify_nbf", "verify_iat")


class TenantLogin:
    """Takes tokens of one issuer, signed by one `algorithm`, for one `audience`.

    `key` is the secret (HS256, 32 bytes or more) or the public key as PEM (RS256, ES256), or
    several while one is being replaced. The algorithm is yours to say and never the token's. A
    token must have `exp`, `aud` and `claim`, whose text is the value of the address that it speaks
    for, on `channel`: the default fits the names that `WebChat.token` gives. Before you name
    ``email`` or ``phone_number`` be sure that your login lets nobody choose one that they have not
    proved; a token whose ``email_verified`` says no is refused.

    With `tenant_claim` that claim must be the bridge's tenant: say it where tenants share a key and
    an audience. With `issuer` the token's `iss` must be it. `once` takes each token for one link;
    then it must have a `jti`. `leeway_seconds` (at most 300) is for clocks that differ.

    Raises `ConfigurationError` for a key that does not fit, and where PyJWT is not installed.
    """

    def __init__(
        self,
        key: str | Sequence[str],
        *,
        algorithm: Algorithm,
        audience: str,
        channel: str = "chat",
        claim: str = "sub",
        issuer: str = "",
        tenant_claim: str = "",
        once: bool = False,
        leeway_seconds: float = 30.0,
    ) -> None:
        if algorithm not in get_args(Algorithm) or not audience:
            raise ConfigurationError(f"a login needs an audience and one of {get_args(Algorithm)}")
        if not 0 <= leeway_seconds <= MOST_LEEWAY_SECONDS:
            raise ConfigurationError("leeway_seconds is 0 to 300")
        self._jwt = _pyjwt()
        self._keys = _keys(self._jwt, key, algorithm)
        self._algorithm, self._audience, self._issuer = algorithm, audience, issuer
        self._channel, self._claim, self._tenant_claim = channel, claim, tenant_claim
        self._once, self._leeway = once, leeway_seconds

    def __repr__(self) -> str:
        return f"<TenantLogin {self._algorithm}>"

    def read(self, token: str, /, *, tenant: str, now: int) -> Vouched:
        """What the token says. See `Tokens.read`."""
        claims = self._claims(require_short(token))
        name, nonce = _text(claims, self._claim), _text(claims, "jti") if self._once else ""
        # As OpenID Connect says it for email and phone_number (Core 1.0, 5.1).
        proved = claims.get(f"{self._claim}_verified", True) is True
        ours = not self._tenant_claim or claims.get(self._tenant_claim) == tenant
        if not (proved and ours):
            raise TokenInvalid("the token cannot be used")
        ends = self._ends(claims, now)
        # An id of the issuer's may be a name as well, so only a digest of the token is stored.
        evidence = f"jwt:{blake2b(token.encode(), digest_size=16).hexdigest()}"
        return Vouched(self._address(name), ends, "login", evidence, nonce and f"jwt:{nonce}")

    def _address(self, name: str) -> Address:
        """Mail and phones in the form that the adapters give them; other names as they are."""
        if self._channel in {"email", "sms"}:
            return Address.parse(f"{self._channel}:{name}")
        return Address(self._channel, name)

    def _claims(self, token: str) -> Mapping[str, Any]:
        """The claims of a token that one of the keys has signed, for us."""
        for key in self._keys:
            try:
                return self._decoded(token, key)
            except Exception:  # noqa: BLE001, S112 - whatever a stranger's bytes make it raise
                continue
        raise TokenInvalid("the token cannot be used")

    def _decoded(self, token: str, key: Any) -> Mapping[str, Any]:
        header = self._jwt.get_unverified_header(token)
        if "crit" in header or "b64" in header:  # extensions that must be understood (RFC 7515)
            raise TokenInvalid("the token cannot be used")
        needed = ["exp", "aud", self._claim]
        needed += [self._tenant_claim] if self._tenant_claim else []
        needed += ["jti"] if self._once else []
        # Its time is looked at afterwards, by the bridge's clock.
        options = {"require": needed, **dict.fromkeys(_OF_TIME, False)}
        claims: Mapping[str, Any] = self._jwt.decode(
            token, key, algorithms=[self._algorithm], audience=self._audience,
            issuer=self._issuer or None, options=options,
        )  # fmt: skip
        return claims

    def _ends(self, claims: Mapping[str, Any], now: int) -> int:
        """The end of the token's time, in Unix ms; raises before its beginning and after it."""
        begins = max(_seconds(claims.get("nbf", 0)), _seconds(claims.get("iat", 0)))
        ends = int(_seconds(claims["exp"]) * 1000)
        require_unexpired(ends, now, self._leeway)
        if begins * 1000 > now + self._leeway * 1000:
            raise TokenInvalid("the token cannot be used")
        return ends + int(self._leeway * 1000)


def _text(claims: Mapping[str, Any], claim: str) -> str:
    """A claim that is a name: short and printable, so that it is stored as it is."""
    name = claims.get(claim)
    if isinstance(name, str) and 0 < len(name) <= _MOST_NAME_CHARACTERS and name.isprintable():
        return name
    raise TokenInvalid("the token cannot be used")


def _seconds(value: Any) -> float:
    """A time of a token, in seconds (RFC 7519, 2); beyond three thousand years it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TokenInvalid("the token cannot be used")
    if not (isfinite(value) and 0 <= value <= 10**11):
        raise TokenInvalid("the token cannot be used")
    return float(value)


def _pyjwt() -> Any:
    try:
        return import_module("jwt")
    except ImportError:
        msg = 'the tokens of a login need PyJWT: pip install "ctxbridge[jwt]"'
        raise ConfigurationError(msg) from None


def _keys(jwt: Any, given: str | Sequence[str], algorithm: Algorithm) -> tuple[Any, ...]:
    several = (given,) if isinstance(given, str) else tuple(given)
    if not several:
        raise ConfigurationError("a login needs a key")
    if algorithm == "HS256":
        if any(key.lstrip().startswith("-----BEGIN") for key in several):
            raise ConfigurationError("the key is PEM, which HS256 has no use for")
        return tuple(Secrets(several, "the key of a login"))
    try:
        prepared = [jwt.get_algorithm_by_name(algorithm).prepare_key(key) for key in several]
    except Exception as error:  # noqa: BLE001 - whatever a key makes the readers of keys raise
        msg = f"the key of a login cannot be read for {algorithm}: {type(error).__name__}"
        raise ConfigurationError(msg) from None
    if not all(_is_public(key, algorithm) for key in prepared):
        msg = "the key of a login is the public one: RSA of 2048 bits or more, or the curve P-256"
        raise ConfigurationError(msg)
    return tuple(prepared)


def _is_public(key: Any, algorithm: Algorithm) -> bool:
    curve = getattr(getattr(key, "curve", None), "name", "")
    fits = curve == "secp256r1" if algorithm == "ES256" else key.key_size >= LEAST_RSA_BITS
    return fits and hasattr(key, "verify") and not hasattr(key, "sign")
