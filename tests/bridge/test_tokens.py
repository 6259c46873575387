"""Tokens: ours and those of the tenant's login; what is wrong with one is not told, but for its age."""

import base64
import hashlib
import hmac
import json
import time

import anyio
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from ctxbridge import Address, Assurance, Bridge, errors
from ctxbridge.bridge import LinkTokens, TenantLogin, logins

from .conftest import SENDERS, exchange, write
from .test_proving import Between

CHAT, MAIL, SMS = SENDERS["chat"], SENDERS["email"], SENDERS["sms"]
SURE = Assurance.CHANNEL
NOW = 1_790_000_000_000
SECOND = NOW // 1000
OLD, NEW = "o" * 32, "n" * 32
OURS = LinkTokens(NEW)


def pem(key, kind="public"):
    if kind == "public":
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()
    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, none).decode()


RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
KEYS = {
    "HS256": (NEW, NEW),
    "RS256": (pem(RSA, "private"), pem(RSA)),
    "ES256": (pem(EC, "private"), pem(EC)),
}


def claims(**more):
    given = {"sub": "customer-7", "aud": "support", "exp": SECOND + 60, **more}
    return {k: v for k, v in given.items() if v is not None}


def login(algorithm="HS256", **more):
    return TenantLogin(
        KEYS[algorithm][1], **{"algorithm": algorithm, "audience": "support", **more}
    )


def signed(algorithm="HS256", headers=None, key=None, **more):
    return jwt.encode(claims(**more), key or KEYS[algorithm][0], algorithm, headers)


def by_hand(header, payload, key=NEW):
    """A JWT with HS256, whatever its header says."""
    pieces = [base64.urlsafe_b64encode(p if isinstance(p, bytes) else json.dumps(p).encode()).rstrip(b"=")
              for p in (header, payload)]  # fmt: skip
    signing = b".".join(pieces)
    mac = hmac.digest(key.encode(), signing, hashlib.sha256)
    return (signing + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


def read(tokens, token, tenant="acme", now=NOW):
    return tokens.read(token, tenant=tenant, now=now)


def make(contact=SMS, **more):
    return OURS.make(contact, **{"tenant": "acme", "now": NOW, **more})


GARBAGE = [
    "", ".", "..", "...", "a.b.c", "ctx1..", "ctx1.e30.", "ctx1", "ctx2.e30.AAAA", "ey", "\x00" * 40, "é.é.é",
    "\ud800", "None", "." * 8_000, "a" * 1_000_000, "ctx1." * 200_000, "ey" * 500_000, "{}", "[" * 8_000,
    f"{base64.urlsafe_b64encode(b'[' * 5_000).decode()}.e30.AAAA",
]  # fmt: skip


class TestOurs:
    def test_it_says_who_and_until_when(self):
        for whose in (SMS, b"\x01" * 16, Address("slack", "U1", "T1")):
            said = read(OURS, make(whose))
            assert (said.contact, said.expires_at, said.source) == (whose, NOW + 900_000, "token")
            assert said.evidence == f"token:{said.nonce}"
        assert read(OURS, make(once=False)).nonce == ""
        assert NEW not in repr(OURS._secrets)

    def test_two_are_never_the_same(self):
        assert make() != make()

    def test_a_secret_can_be_replaced(self):
        by_old, both = LinkTokens(OLD).make(SMS, tenant="acme", now=NOW), LinkTokens([NEW, OLD])
        assert read(both, by_old).contact == SMS
        assert read(both, make()).contact == SMS
        assert read(OURS, both.make(SMS, tenant="acme", now=NOW)).contact == SMS
        with pytest.raises(errors.TokenInvalid):
            read(OURS, by_old)

    def test_its_time_ends(self):
        token = make(lifetime_seconds=60)
        read(OURS, token, now=NOW + 59_999)
        with pytest.raises(errors.TokenExpired):
            read(OURS, token, now=NOW + 60_000)

    def test_what_is_for_something_else_is_refused(self):
        for other in (LinkTokens(NEW, purpose="unsubscribe"), LinkTokens(OLD)):
            with pytest.raises(errors.TokenInvalid) as caught:
                read(other, make())
            assert type(caught.value) is errors.TokenInvalid
        with pytest.raises(errors.TokenInvalid):
            read(OURS, make(), tenant="globex")
        with pytest.raises(errors.TokenInvalid):
            read(OURS, make(), tenant="acm")

    def test_every_other_text_is_refused_in_the_same_words(self):
        token, said = make(), set()
        bits = [token[:n] for n in range(len(token))]
        bits += [
            token[:n] + c + token[n + 1 :] for n in range(len(token)) for c in "A." if token[n] != c
        ]
        bits += [token + c for c in "A=.\n "] + [
            " " + token,
            token.upper(),
            token.replace("ctx1", "ctx0"),
        ]
        bits += [make(now=NOW - 10**9)[:-1], *GARBAGE, signed()]
        began = time.thread_time()
        for text in bits:
            with pytest.raises(errors.TokenInvalid) as caught:
                read(OURS, text)
            said.add((type(caught.value), str(caught.value)))
        assert time.thread_time() - began < 2
        assert len(said) == 1

    @pytest.mark.parametrize("wrong", [{"lifetime_seconds": 0}, {"lifetime_seconds": 10**9},
                                       {"lifetime_seconds": float("nan")}, {"contact": Address("sms", "\ud800")}])  # fmt: skip
    def test_what_cannot_be_is_not_made(self, wrong):
        with pytest.raises((errors.UsageError, errors.Malformed)):
            make(**wrong)

    @pytest.mark.parametrize("secret", ["", "short", [], [NEW, ""], "ä" * 15])
    def test_a_secret_that_is_none_is_a_mistake(self, secret):
        with pytest.raises(errors.ConfigurationError):
            LinkTokens(secret)


class TestLogin:
    @pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256"])
    def test_it_says_who(self, algorithm):
        said = read(login(algorithm), signed(algorithm))
        assert (said.contact, said.source, said.nonce) == (CHAT, "login", "")
        assert said.evidence.startswith("jwt:")
        assert "customer" not in said.evidence

    def test_it_takes_the_claim_and_the_channel_that_it_is_told(self):
        by_phone = login(channel="sms", claim="phone_number")
        assert read(by_phone, signed(phone_number="+1 (555) 010-0001")).contact == SMS
        for verified in (False, "true", None, 1):
            token = by_hand(
                {"alg": "HS256"}, {**claims(phone_number="+1"), "phone_number_verified": verified}
            )
            with pytest.raises(errors.TokenInvalid):
                read(by_phone, token)

    def test_two_names_are_never_one_address(self):
        for name in (" customer-7", "+customer-7", "chat:customer-7"):
            assert read(login(), signed(sub=name)).contact == Address("chat", name)

    def test_its_time_is_that_of_the_clock_with_a_leeway(self):
        token = signed(nbf=SECOND, iat=SECOND)
        for ours, good in ((SECOND - 31, False), (SECOND - 30, True), (SECOND + 89, True)):
            if good:
                read(login(), token, now=ours * 1000)
            else:
                with pytest.raises(errors.TokenInvalid):
                    read(login(), token, now=ours * 1000)
        with pytest.raises(errors.TokenExpired):
            read(login(), token, now=(SECOND + 90) * 1000)

    def test_keys_can_be_replaced(self):
        other = rsa.generate_private_key(65537, 2048)
        both = TenantLogin([pem(other), pem(RSA)], algorithm="RS256", audience="support")
        assert read(both, signed("RS256")).contact == CHAT
        assert read(both, signed("RS256", key=pem(other, "private"))).contact == CHAT
        with pytest.raises(errors.TokenInvalid):
            read(login("RS256"), signed("RS256", key=pem(other, "private")))

    @pytest.mark.parametrize(
        "wrong",
        [{"aud": "shop"}, {"aud": None}, {"aud": []}, {"exp": None}, {"sub": None}, {"sub": ""}, {"sub": "x" * 201},
         {"sub": "a\nb"}, {"nbf": SECOND + 60}, {"iat": SECOND + 60}, {"exp": 10**300}, {"nbf": True}],
        ids=str,
    )  # fmt: skip
    def test_claims_that_do_not_fit_are_refused(self, wrong):
        with pytest.raises(errors.TokenInvalid) as caught:
            read(login(), signed(**wrong))
        assert type(caught.value) is errors.TokenInvalid

    @pytest.mark.parametrize("end", ["soon", True, [], {}, -1, 1e400, float("nan"), None])
    def test_an_end_that_is_no_time_is_refused(self, end):
        with pytest.raises(errors.TokenInvalid):
            read(login(), by_hand({"alg": "HS256"}, {**claims(), "exp": end}))

    def test_the_tenant_and_the_issuer_can_be_asked_for(self):
        strict = login(tenant_claim="org", issuer="https://login.acme.example")
        good = {"org": "acme", "iss": "https://login.acme.example"}
        assert read(strict, signed(**good)).contact == CHAT
        for wrong in (
            {"org": "globex"},
            {"org": None},
            {"org": ["acme"]},
            {"iss": "https://evil.example"},
            {"iss": None},
        ):
            with pytest.raises(errors.TokenInvalid):
                read(strict, signed(**{**good, **wrong}))

    @pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256"])
    def test_another_algorithm_than_was_said_is_refused(self, algorithm):
        forged = [jwt.encode(claims(), None, "none"), by_hand({"alg": "none"}, claims())]
        forged += [
            by_hand({"alg": alg}, claims())
            for alg in ("None", "NONE", "HS512", "hs256", "", None, 1, ["HS256"])
        ]
        forged += [by_hand(header, claims()) for header in ({}, [], "x", 1, b"\xff", {"alg": "HS256", "crit": ["exp"]},
                                                            {"alg": "HS256", "crit": ["b64"], "b64": False})]  # fmt: skip
        # The public key taken for a secret: the old confusion of HS256 and RS256.
        forged += [by_hand({"alg": "HS256"}, claims(), KEYS[a][1]) for a in ("RS256", "ES256")]
        forged += [signed(a) for a in KEYS if a != algorithm]
        forged += [
            jwt.encode(claims(), ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
            signed("HS256", key=OLD),
        ]
        forged += [f"{t.rpartition('.')[0]}." for t in (signed(algorithm),)]
        for token in forged:
            with pytest.raises(errors.TokenInvalid) as caught:
                read(login(algorithm), token)
            assert type(caught.value) is errors.TokenInvalid

    @pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES256"])
    def test_every_other_text_is_refused_in_the_same_words(self, algorithm):
        token, one, said = signed(algorithm), login(algorithm), set()
        step = 1 if algorithm == "HS256" else 7
        bits = [token[:n] for n in range(0, len(token), step)] + GARBAGE + [make()]
        bits += [
            token[:n] + "-" + token[n + 1 :]
            for n in range(0, len(token) - 1, step)
            if token[n] != "-"
        ]
        began = time.thread_time()
        for text in bits:
            with pytest.raises(errors.TokenInvalid) as caught:
                read(one, text)
            said.add((type(caught.value), str(caught.value)))
        assert time.thread_time() - began < 5
        assert len(said) == 1

    def test_a_forged_token_is_not_told_that_it_is_old(self):
        with pytest.raises(errors.TokenInvalid) as caught:
            read(login(), signed(key=OLD, exp=1))
        assert type(caught.value) is errors.TokenInvalid

    def test_a_key_that_does_not_fit_is_a_mistake(self):
        short, curve = (
            rsa.generate_private_key(65537, 1024),
            ec.generate_private_key(ec.SECP384R1()),
        )
        wrong = {
            "HS256": ["", "short", [], pem(RSA)],
            "RS256": ["", NEW, [], pem(EC), pem(RSA, "private"), [pem(RSA), "x"], pem(short)],
            "ES256": ["", pem(RSA), pem(EC, "private"), pem(curve)],
            "none": [NEW],
            "HS512": [NEW],
        }
        for algorithm, keys in wrong.items():
            for key in keys:
                with pytest.raises(errors.ConfigurationError) as caught:
                    TenantLogin(key, algorithm=algorithm, audience="support")
                assert "MI" not in str(caught.value)

    def test_a_missing_audience_or_package_is_a_mistake(self, monkeypatch):
        for wrong in ({"audience": ""}, {"leeway_seconds": 301}, {"leeway_seconds": -1}):
            with pytest.raises(errors.ConfigurationError):
                login(**wrong)
        assert NEW not in repr(login())

        def missing(name):
            raise ImportError(name)

        monkeypatch.setattr(logins, "import_module", missing)
        with pytest.raises(errors.ConfigurationError, match=r"ctxbridge\[jwt\]"):
            login()


async def link(bridge, token, address=CHAT, by=OURS, assurance=SURE):
    return await bridge.link_by_token(token, address, by=by, assurance=assurance)


class TestLinking:
    async def test_it_links_to_whom_it_speaks_for(self, bridge):
        await exchange(bridge, write("hi"))
        contact = await link(bridge, make())
        assert contact.addresses == (SMS, CHAT)
        held = contact.link_to(CHAT)
        assert (held.assurance, held.source) == (Assurance.AUTHENTICATED, "token")
        assert held.evidence.startswith("token:")
        seen = await bridge.context(CHAT, assurance=Assurance.CHANNEL)
        assert "hi" in [m.text for m in seen.messages]

    async def test_a_contact_can_be_named_by_its_id(self, bridge):
        await exchange(bridge, write("hi"))
        ann = (await bridge.context(SMS)).contact
        assert (await link(bridge, make(ann))).id == ann.id
        assert (await link(bridge, make(ann.id), MAIL)).addresses == (SMS, CHAT, MAIL)
        with pytest.raises(errors.UnknownContact):
            await link(bridge, make(b"\x07" * 16))

    async def test_who_is_not_known_yet_joins_who_is(self, bridge):
        by_phone = login(channel="sms", claim="phone_number")
        token = signed(phone_number=SMS.value)
        await exchange(bridge, write("hi", channel="chat"))
        assert (await link(bridge, token, by=by_phone)).addresses == (CHAT, SMS)
        assert (await link(bridge, token, MAIL, by=by_phone)).addresses == (CHAT, SMS, MAIL)

    async def test_of_two_who_are_not_known_one_is_founded(self, bridge):
        assert (await link(bridge, make())).addresses == (CHAT, SMS)
        assert (await link(bridge, make(MAIL), MAIL)).addresses == (MAIL,)

    async def test_two_histories_are_not_joined(self, bridge):
        await exchange(bridge, write("hi"))
        await exchange(bridge, write("hi", channel="chat"))
        with pytest.raises(errors.AddressTaken):
            await link(bridge, make())

    async def test_it_is_good_once(self, bridge, clock):
        token = make()
        await link(bridge, token)
        with pytest.raises(errors.TokenInvalid):
            await link(bridge, token)
        with pytest.raises(errors.TokenInvalid):
            await link(bridge, token, MAIL)
        clock.time += 899_999
        with pytest.raises(errors.TokenInvalid):
            await link(bridge, token)
        clock.time += 1
        with pytest.raises(errors.TokenExpired):
            await link(bridge, token)

    async def test_one_for_many_uses_is_good_until_its_end(self, bridge):
        token = make(once=False)
        for _ in range(2):
            assert (await link(bridge, token)).addresses == (CHAT, SMS)
        assert (await link(bridge, token, MAIL)).addresses == (CHAT, SMS, MAIL)

    async def test_the_id_of_a_login_can_be_good_once(self, bridge):
        once = login(once=True)
        await link(bridge, signed(jti="a"), MAIL, by=once)
        with pytest.raises(errors.TokenInvalid):
            await link(bridge, signed(jti="a", exp=SECOND + 61), MAIL, by=once)
        await link(bridge, signed(jti="b"), MAIL, by=once)
        for wrong in ({}, {"jti": ""}, {"jti": 7}):
            with pytest.raises(errors.TokenInvalid):
                read(once, by_hand({"alg": "HS256"}, {**claims(), **wrong}))

    async def test_twenty_that_use_it_at_once_link_once(self, bridge, clock):
        store, token, said = Between(bridge.store), make(), []
        one = Bridge(store, tenant="acme", clock=clock)

        async def use():
            try:
                said.append(await link(one, token))
            except errors.TokenInvalid:
                said.append(None)

        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(use)
        assert (len(said), said.count(None), store.steps["identify"]) == (20, 19, 1)

    async def test_where_the_store_fails_at_the_link_it_is_given_back(self, bridge, clock, caplog):
        store, token = Between(bridge.store), make()
        one = Bridge(store, tenant="acme", clock=clock)
        store.fails = "identify"
        with pytest.raises(errors.Unavailable):
            await link(one, token)
        assert (await link(one, token)).addresses == (CHAT, SMS)

    async def test_one_that_cannot_be_given_back_stays_used_up(self, bridge, clock, caplog):
        store, token = Between(bridge.store), make()
        one = Bridge(store, tenant="acme", clock=clock)

        async def identify(value, /):
            store.fails = "records"
            raise errors.Unavailable("not now")

        store.identify = identify
        with pytest.raises(errors.Unavailable):
            await link(one, token)
        with pytest.raises(errors.TokenInvalid):
            await link(bridge, token)
        assert "stays used up" in caplog.text

    @pytest.mark.parametrize("assurance", [Assurance.ANONYMOUS, Assurance.CLAIMED])
    async def test_a_message_that_may_be_anybodys_brings_nothing(self, bridge, assurance):
        token = make()
        for text in (token, "rubbish"):
            with pytest.raises(errors.Unvouched):
                await link(bridge, text, assurance=assurance)
        await link(bridge, token)

    async def test_rubbish_asks_the_store_nothing(self, bridge, clock):
        store = Between(bridge.store)
        one = Bridge(store, tenant="acme", clock=clock)
        for text in (*GARBAGE, make(tenant="globex"), make(now=NOW - 10**9)):
            with pytest.raises(errors.TokenInvalid):
                await link(one, text)
        assert not store.steps
