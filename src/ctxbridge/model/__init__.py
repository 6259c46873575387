"""The frozen values that people read and write.

Conventions: an id is 16 raw bytes (UUIDv7), shown with `.hex()`; a point in time is an `int` of
Unix milliseconds; a duration is a `float` of seconds and its name ends in `_seconds`. Values are
immutable and may be shared between tasks.
"""

from ctxbridge.model.access import AccessPolicy, Reader
from ctxbridge.model.address import Address, Assurance, Endpoint
from ctxbridge.model.capabilities import Capabilities
from ctxbridge.model.contact import Consent, Contact, Link, Purpose
from ctxbridge.model.context import Context, Window
from ctxbridge.model.decision import Action, Decision, Finding, GuardResult, Stage, Verdict
from ctxbridge.model.delivery import (
    Delivery,
    DeliveryStatus,
    Found,
    HttpAnswer,
    HttpRequest,
    Outgoing,
    Scan,
    Sent,
    Settle,
    Take,
    Taken,
)
from ctxbridge.model.exchange import (
    Change,
    Claim,
    Committed,
    Opened,
    Query,
    RecordRead,
    RecordWrite,
    Refused,
    StoreReport,
)
from ctxbridge.model.handoff import Handoff, Package
from ctxbridge.model.head import Floor, Head, Status
from ctxbridge.model.identity import Erase, Erased, Identified, LinkClaim, Merge, Split
from ctxbridge.model.inbound import (
    HttpReply,
    Inbound,
    Notice,
    Parsed,
    RawRequest,
    Receipt,
    Verification,
)
from ctxbridge.model.message import (
    Attachment,
    Author,
    Choice,
    Choices,
    Disposition,
    Entry,
    Event,
    Markup,
    Message,
    Opaque,
    Part,
    Quote,
    Text,
    ToolCall,
    ToolResult,
)
from ctxbridge.model.record import Record

__all__ = [
    "AccessPolicy",
    "Action",
    "Address",
    "Assurance",
    "Attachment",
    "Author",
    "Capabilities",
    "Change",
    "Choice",
    "Choices",
    "Claim",
    "Committed",
    "Consent",
    "Contact",
    "Context",
    "Decision",
    "Delivery",
    "DeliveryStatus",
    "Disposition",
    "Endpoint",
    "Entry",
    "Erase",
    "Erased",
    "Event",
    "Finding",
    "Floor",
    "Found",
    "GuardResult",
    "Handoff",
    "Head",
    "HttpAnswer",
    "HttpReply",
    "HttpRequest",
    "Identified",
    "Inbound",
    "Link",
    "LinkClaim",
    "Markup",
    "Merge",
    "Message",
    "Notice",
    "Opaque",
    "Opened",
    "Outgoing",
    "Package",
    "Parsed",
    "Part",
    "Purpose",
    "Query",
    "Quote",
    "RawRequest",
    "Reader",
    "Receipt",
    "Record",
    "RecordRead",
    "RecordWrite",
    "Refused",
    "Scan",
    "Sent",
    "Settle",
    "Split",
    "Stage",
    "Status",
    "StoreReport",
    "Take",
    "Taken",
    "Text",
    "ToolCall",
    "ToolResult",
    "Verdict",
    "Verification",
    "Window",
]
