"""Slack over the webhooks app: greeted, acknowledged at once, deduplicated, refused without a retry."""

import json
import time

from slack_sdk.signature import SignatureVerifier

from ctxbridge import Bridge
from ctxbridge.asgi import webhooks
from ctxbridge.channels import Slack

from .conftest import Agent, call, scope_of

SECRET = "signing-secret"
EVENT = {
    "type": "event_callback", "team_id": "T1", "api_app_id": "A1", "event_id": "Ev1",
    "event": {"type": "message", "channel": "D1", "user": "U1", "text": "Hello", "ts": "1779999999.000200"},
}  # fmt: skip


async def told(app, body, secret=SECRET):
    data, stamp = json.dumps(body).encode(), str(int(time.time()))
    signature = SignatureVerifier(secret).generate_signature(timestamp=stamp, body=data)
    headers = [("X-Slack-Request-Timestamp", stamp), ("X-Slack-Signature", signature)]
    return await call(app, scope_of("POST", "/slack", headers), [data])


async def test_16_28_a_retry_and_a_mention_are_acknowledged_and_answered_once():
    agent = Agent(waits=True)
    async with Bridge("memory://", tenant="acme") as bridge:
        app = webhooks(bridge, channels=[Slack(SECRET)], agent=agent)
        mention = EVENT | {"event_id": "Ev2", "event": EVENT["event"] | {"type": "app_mention"}}
        for body in (EVENT, EVENT, mention):
            answer = await told(app, body)
            assert (answer.status, answer.body) == (200, b"")
        agent.let_go.set()
        context = await bridge.context("slack:U1")
    assert context.contact is None  # the workspace is part of the address
    assert agent.asked == 1


async def test_the_challenge_is_echoed_and_a_forged_request_is_refused_without_a_retry():
    async with Bridge("memory://", tenant="acme") as bridge:
        app = webhooks(bridge, channels=[Slack(SECRET)], agent=Agent())
        greeted = await told(app, {"type": "url_verification", "challenge": "abc"})
        assert (greeted.status, greeted.body) == (200, b"abc")
        for body in (EVENT, {"type": "url_verification", "challenge": "abc"}):
            forged = await told(app, body, "another")
            assert (forged.status, forged.headers["x-slack-no-retry"]) == (401, "1")
