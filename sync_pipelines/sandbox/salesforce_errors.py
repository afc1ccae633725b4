"""Salesforce's way to refuse: a JSON array of {message, errorCode, fields?}."""

from sync_pipelines.sandbox.exchange import Answer, Refused, as_json

SESSION = ("Session expired or invalid", "INVALID_SESSION_ID")
_BY_STATUS = {
    400: ("The request could not be understood", "JSON_PARSER_ERROR"),
    401: SESSION,
    403: ("insufficient access rights on cross-reference id", "INSUFFICIENT_ACCESS"),
    404: ("The requested resource does not exist", "NOT_FOUND"),
    405: ("HTTP Method not allowed", "METHOD_NOT_ALLOWED"),
    414: ("URI Too Long", "URI_TOO_LONG"),
    429: ("ConcurrentRequests limit exceeded", "REQUEST_LIMIT_EXCEEDED"),
    500: ("An unexpected error occurred. Please include this ErrorId if you contact support", "UNKNOWN_EXCEPTION"),
    503: ("The server is temporarily unavailable", "SERVER_UNAVAILABLE"),
}


def errors(status: int, message: str, code: str, fields: tuple[str, ...] | None = None) -> Answer:
    error: dict[str, object] = {"message": message, "errorCode": code}
    if fields is not None:
        error["fields"] = fields
    return as_json([error], status)


def refused(status: int, message: str, code: str, fields: tuple[str, ...] | None = None) -> Refused:
    return Refused(errors(status, message, code, fields))


def usual(status: int) -> Answer:
    """The vendor's usual words for a status."""
    message, code = _BY_STATUS.get(status, ("An unexpected error occurred", "UNKNOWN_EXCEPTION"))
    return errors(status, message, code)


def not_found() -> Refused:
    return Refused(usual(404))


def limit_exceeded() -> Answer:
    return errors(403, "TotalRequests Limit exceeded.", "REQUEST_LIMIT_EXCEEDED")
