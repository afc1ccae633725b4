"""HubSpot's way to refuse: one JSON object with a category and a correlationId."""

from typing import Any
from uuid import UUID

from sync_pipelines.sandbox.exchange import Answer, Call, Refused, as_json

_BY_STATUS = {
    400: ("Invalid input JSON", "VALIDATION_ERROR"),
    401: ("Authentication credentials not found.", "INVALID_AUTHENTICATION"),
    403: ("This app hasn't been granted all required scopes to make this call.", "MISSING_SCOPES"),
    404: ("resource not found", "OBJECT_NOT_FOUND"),
    409: ("The object has been changed in the meantime", "CONFLICT"),
    423: ("The resource is locked", "LOCKED"),
    429: ("You have reached your ten_secondly_rolling limit.", "RATE_LIMITS"),
    477: ("This account is being migrated to another data center", "MIGRATION_IN_PROGRESS"),
    500: ("internal error", "INTERNAL_ERROR"),
    502: ("bad gateway", "INTERNAL_ERROR"),
    503: ("service unavailable", "INTERNAL_ERROR"),
}


def correlation(call: Call) -> str:
    """A new id for an answer, the same ones in the same order for the same world."""
    sessions = call.world.sessions
    sessions["answers"] = sessions.get("answers", 0) + 1
    return str(UUID(int=(call.world.recipe.seed << 96) | sessions["answers"], version=4))


def error(call: Call, status: int, message: str, category: str, **more: Any) -> Answer:
    body = {"status": "error", "message": message, "correlationId": correlation(call), "category": category}
    return as_json(body | more, status)


def refused(call: Call, status: int, message: str, category: str, **more: Any) -> Refused:
    return Refused(error(call, status, message, category, **more))


def invalid(call: Call, message: str, **more: Any) -> Refused:
    return refused(call, 400, message, "VALIDATION_ERROR", **more)


def usual(call: Call, status: int) -> Answer:
    """The vendor's usual words for a status."""
    message, category = _BY_STATUS.get(status, ("internal error", "INTERNAL_ERROR"))
    return error(call, status, message, category)


def rate_limited(call: Call, policy: str = "TEN_SECONDLY_ROLLING") -> Answer:
    body = {
        "status": "error",
        "message": f"You have reached your {policy.lower()} limit.",
        "errorType": "RATE_LIMIT",
        "policyName": policy,
        "correlationId": correlation(call),
        "groupName": "publicapi:crm:read",
    }
    return as_json(body, 429)


def missing_scopes(call: Call, scope: str) -> Answer:
    return error(
        call,
        403,
        "This app hasn't been granted all required scopes to make this call. Read more about required scopes in the "
        "developer documentation.",
        "MISSING_SCOPES",
        errors=[
            {
                "message": "One or more of the following scopes are required.",
                "context": {"requiredScopes": [scope]},
            }
        ],
    )
