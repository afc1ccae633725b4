"""A name in the query that a call does not take is refused: a filter that were ignored would show everything, and a
misspelt `dry_run` would save."""

from fastapi import Request
from fastapi.exceptions import RequestValidationError


def refuse_unknown_names(request: Request) -> None:
    """RequestValidationError for names that the description of the call does not have."""
    if not request.query_params:
        return
    known = _described(request)
    takes = f"Known are: {', '.join(known)}." if known else "This call takes none."
    unknown = [name for name in dict.fromkeys(request.query_params) if name not in known]
    if unknown:
        raise RequestValidationError(
            [{"loc": ("query", name[:100]), "msg": f"There is no such parameter. {takes}"} for name in unknown]
        )


def _described(request: Request) -> list[str]:
    operation = request.scope["route"].name
    return [
        each["name"]
        for methods in request.app.openapi()["paths"].values()
        for described in methods.values()
        if described["operationId"] == operation
        for each in described.get("parameters", [])
        if each["in"] == "query"
    ]
