"""The control calls under /_sandbox/: for tests, the demo and verification. They need no token."""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import msgspec

from sync_pipelines.sandbox import changes, schema_changes
from sync_pipelines.sandbox.accounts import Account
from sync_pipelines.sandbox.clock import iso
from sync_pipelines.sandbox.cutting import encode
from sync_pipelines.sandbox.exchange import Answer, as_json
from sync_pipelines.sandbox.faults import PAGE_FAULTS, REQUEST_FAULTS, Fault
from sync_pipelines.sandbox.schema import ObjectSpec
from sync_pipelines.sandbox.world import World, moment_of

Control: TypeAlias = Callable[[World, dict[str, str], dict[str, str], Any], Answer]
"""(world, path parts, parameters, JSON body) -> answer."""

SETTINGS = {
    "search_lag": "seconds until a change shows in HubSpot's search",
    "enforce_limits": "true: HubSpot's rate limits are kept, with 429",
    "rotate_refresh_tokens": "true: each refresh brings a new refresh token and ends the old one",
    "daily_limit": "calls a day, of Salesforce and of a HubSpot private app",
    "daily_used": "how many of them are gone: the calls made here count from this number",
    "used_by_others": "how many more of them the customer's other apps have made by now",
    "private_app": "true: the HubSpot portal has a daily limit, tells it and keeps it",
    "window_calls": "calls in HubSpot's short window",
    "window_seconds": "how long that window is",
    "instance": "a name: the Salesforce organisation moves to another instance_url",
    "lists": "{id: [ids of members]} of HubSpot lists and Salesforce campaigns",
}


def answered(world: World, control: Control, parts: dict[str, str], params: dict[str, str], text: bytes) -> Answer:
    """The answer, or what was wrong with the call as {"error": ...}."""
    try:
        return control(world, parts, params, msgspec.json.decode(text) if text else {})
    except LookupError as problem:
        return as_json({"error": str(problem)}, 404)
    except (ValueError, TypeError, msgspec.DecodeError) as problem:
        return as_json({"error": str(problem)}, 400)


def _account(world: World, parts: dict[str, str]) -> Account:
    found = world.account(parts["account"])
    if found is None:
        raise LookupError(f"no account {parts['account']!r}; known: {', '.join(world.accounts)}")
    return found


def _object(account: Account, name: str) -> ObjectSpec:
    found = account.find(name)
    if found is None:
        raise LookupError(f"{account.customer.id} has no object {name!r}; known: {', '.join(account.objects)}")
    return found


def health(world: World, parts: dict[str, str], params: dict[str, str], body: Any) -> Answer:
    return as_json({"status": "ok", "accounts": len(world.accounts)})


def accounts(world: World, parts: dict[str, str], params: dict[str, str], body: Any) -> Answer:
    return as_json(world.description())


def reset(world: World, parts: dict[str, str], params: dict[str, str], body: Any) -> Answer:
    world.reset()
    return as_json({"epoch": world.epoch})


def clock(world: World, parts: dict[str, str], params: dict[str, str], body: Any) -> Answer:
    """{"advance": seconds} and/or {"set": ISO time}, {"frozen": bool}; nothing: only asks."""
    if "frozen" in body:
        if body["frozen"]:
            world.clock.freeze()
        else:
            world.clock.thaw()
    moment = moment_of(body.get("set"))
    if moment is not None:
        world.clock.set(moment)
    world.clock.advance(round(float(body.get("advance", 0)) * 1000))
    world.remember_clock()
    changes.apply_due(world)
    return as_json({"now": iso(world.clock.now()), "frozen": world.clock.frozen})


def calls(world: World, parts: dict[str, str], params: dict[str, str], body: Any) -> Answer:
    return as_json(world.calls.since(int(params.get("since", "0")), params.get("account")))


def fault_names(world: World, parts: dict[str, str], params: dict[str, str], body: Any) -> Answer:
    known = {
        "request": REQUEST_FAULTS,
        "page": PAGE_FAULTS,
        "schema": schema_changes.KINDS,
        "settings": SETTINGS,
        "records": {
            "record": "visible: a late commit",
            "ties": "many records with one stamp",
            "change": "a seeded change",
        },
    }
    return as_json({"on": world.faults.list(), "known": known})


def add_fault(world: World, parts: dict[str, str], params: dict[str, str], body: Any) -> Answer:
    """{"name", "path"?, "object"?, "times"?, "after"?, options...}"""
    account = _account(world, parts)
    name = str(body.pop("name", ""))
    if name in schema_changes.KINDS:
        spec = _object(account, str(body.pop("object", "")))
        return as_json(schema_changes.apply(world, account, spec, name, body))
    wanted = {key: body.pop(key) for key in ("path", "object", "times", "after") if key in body}
    fault = world.faults.add(Fault(name=name, account=account.customer.id, **wanted, options=body))
    return as_json({"id": fault.id})


def clear_faults(world: World, parts: dict[str, str], params: dict[str, str], body: Any) -> Answer:
    account = _account(world, parts) if "account" in parts else None
    world.faults.clear(None if account is None else account.customer.id)
    for known in world.accounts.values() if account is None else (account,):
        known.search_lag = 0
        known.enforce_limits = False
    return Answer(204, content_type=None)


def settings(world: World, parts: dict[str, str], params: dict[str, str], body: Any) -> Answer:
    """{name: value} of SETTINGS."""
    account = _account(world, parts)
    unknown = [name for name in body if name not in SETTINGS]
    if unknown:
        raise ValueError(f"no setting {', '.join(unknown)}; known: {', '.join(SETTINGS)}")
    now = world.clock.now()
    for name, value in body.items():
        match name:
            case "search_lag":
                account.search_lag = round(float(value) * 1000)
            case "daily_used":
                account.ours.set(now, int(value))
            case "used_by_others":
                account.others.set(now, int(value))
            case "window_calls":
                account.window.calls = int(value)
            case "window_seconds":
                account.window.milliseconds = round(float(value) * 1000)
            case _:
                setattr(account, name, type(getattr(account, name))(value))
    return Answer(204, content_type=None)


def change(world: World, parts: dict[str, str], params: dict[str, str], body: Any) -> Answer:
    """{"object", "seed"?, "updated"?, "created"?, "deleted"?, "merged"?} -> the ids."""
    account = _account(world, parts)
    object, seed = str(body.pop("object", "")), int(body.pop("seed", 1))
    amounts = msgspec.convert(body, changes.Amounts)
    return as_json(changes.change_some(world, account, object, amounts, seed=seed))


def record(world: World, parts: dict[str, str], params: dict[str, str], body: Any) -> Answer:
    """One change of one record with given stamps; see changes.Change. -> {"id"}"""
    account = _account(world, parts)
    stamps = {name: moment_of(body.pop(name)) for name in ("modified", "created", "visible") if name in body}
    wanted = msgspec.convert({**body, **stamps}, changes.Change)
    spec = _object(account, wanted.object)
    _check_fields(spec, wanted)
    return as_json({"id": changes.apply(world, account, wanted)})


def _check_fields(spec: ObjectSpec, wanted: changes.Change) -> None:
    unknown = [name for name in wanted.fields or {} if name not in spec.fields]
    if unknown:
        raise ValueError(f"{spec.name} has no field {', '.join(unknown)}")


def ties(world: World, parts: dict[str, str], params: dict[str, str], body: Any) -> Answer:
    """{"object", "count", "modified"?}: so many live records, first ids first, get one modified stamp. -> the ids"""
    account = _account(world, parts)
    spec = _object(account, str(body.get("object", "")))
    moment = moment_of(body.get("modified"))
    found = changes.tie(world, account, spec, int(body.get("count", 0)), moment)
    return as_json({"ids": found})


def links(world: World, parts: dict[str, str], params: dict[str, str], body: Any) -> Answer:
    """{"from": [object, id], "to": [object, id], "type_ids": [[there, back], ...]?, "remove"?: true}: associate two
    records, or part them."""
    account = _account(world, parts)
    if body.get("remove"):
        changes.part(world, account, body["from"], body["to"])
        return as_json({"linked": 0})
    return as_json({"linked": changes.associate(world, account, body["from"], body["to"], body.get("type_ids"))})


def tokens(world: World, parts: dict[str, str], params: dict[str, str], body: Any) -> Answer:
    """/tokens/expire: access tokens end now. /tokens/revoke: refresh tokens too, for good. {"kind"?: only one kind}"""
    account = _account(world, parts)
    kinds = (body["kind"],) if "kind" in body else ("access",) if parts["what"] == "expire" else ("access", "refresh")
    for kind in kinds:
        if parts["what"] == "expire":
            world.storage.execute(
                "UPDATE tokens SET expires = ? WHERE account = ? AND kind = ?",
                (world.clock.now(), account.customer.id, kind),
            )
        elif parts["what"] == "revoke":
            world.storage.execute(
                "UPDATE tokens SET valid = 0 WHERE account = ? AND kind = ?", (account.customer.id, kind)
            )
        else:
            raise LookupError("tokens can be expired or revoked")
    return Answer(204, content_type=None)


def issue(world: World, parts: dict[str, str], params: dict[str, str], body: Any) -> Answer:
    """Fresh tokens, as a customer who connects again would bring them."""
    account = _account(world, parts)
    return as_json({f"{kind}_token": world.issue(account, kind) for kind in ("access", "refresh")})


def webhooks(world: World, parts: dict[str, str], params: dict[str, str], body: Any) -> Answer:
    """{"url", "subscriptions": [{"eventType", "propertyName"?}]}: HubSpot tells changes of all portals there. Without a
    body: what was sent so far."""
    if body:
        world.telling.subscribe_portals(str(body["url"]), body.get("subscriptions") or ())
    return as_json(world.telling.standing())


def outbound_messages(world: World, parts: dict[str, str], params: dict[str, str], body: Any) -> Answer:
    """{"url", "objects": [...]}: this Salesforce organisation sends a message for each record of these that changes."""
    account = _account(world, parts)
    if account.vendor != "salesforce":
        raise ValueError(f"{account.customer.id} is no Salesforce organisation")
    world.telling.subscribe_org(account, str(body["url"]), [_object(account, name).name for name in body["objects"]])
    return Answer(204, content_type=None)


def truth(world: World, parts: dict[str, str], params: dict[str, str], body: Any) -> Answer:
    """Every record as it is now, deleted ones too, one JSON object a line, in the order of ids."""
    account = _account(world, parts)
    spec = _object(account, parts["object"])
    return Answer(200, _truth_lines(world, account, spec), content_type="application/x-ndjson")


def _truth_lines(world: World, account: Account, spec: ObjectSpec) -> Iterator[bytes]:
    hidden = {field.name for field in spec.fields.values() if not field.served}
    others = [known for known in account.objects.values() if known.name != spec.name]
    for row in world.storage.walk(account.tables[spec.name]):
        fields = msgspec.json.decode(row.body, type=dict[str, msgspec.Raw])
        line: dict[str, Any] = {
            "id": account.id_of_key(spec, row.key),
            "created": iso(row.created),
            "modified": iso(row.modified),
            "deleted": bool(row.deleted),
            "archived_at": None if row.archived is None else iso(row.archived),
            "fields": {name: value for name, value in fields.items() if name not in hidden},
        }
        if account.vendor == "hubspot" and spec.name != "owners":
            line["associations"] = {
                other.name: [[account.id_of_key(other, link.to_key), link.type_id] for link in found]
                for other in others
                if (found := world.storage.links([row.key], account.tables[other.name]))
            }
        yield encode(line) + b"\n"


_ACCOUNT = "/_sandbox/accounts/{account}"
ROUTES: tuple[tuple[str, str, Control], ...] = (
    ("GET", "/_sandbox/health", health),
    ("GET", "/_sandbox/accounts", accounts),
    ("POST", "/_sandbox/reset", reset),
    ("GET", "/_sandbox/clock", clock),
    ("POST", "/_sandbox/clock", clock),
    ("GET", "/_sandbox/calls", calls),
    ("GET", "/_sandbox/faults", fault_names),
    ("DELETE", "/_sandbox/faults", clear_faults),
    ("POST", _ACCOUNT + "/faults", add_fault),
    ("DELETE", _ACCOUNT + "/faults", clear_faults),
    ("POST", _ACCOUNT + "/settings", settings),
    ("GET", "/_sandbox/webhooks", webhooks),
    ("POST", "/_sandbox/webhooks", webhooks),
    ("POST", _ACCOUNT + "/outbound-messages", outbound_messages),
    ("POST", _ACCOUNT + "/change", change),
    ("POST", _ACCOUNT + "/record", record),
    ("POST", _ACCOUNT + "/ties", ties),
    ("POST", _ACCOUNT + "/links", links),
    ("POST", _ACCOUNT + "/tokens", issue),
    ("POST", _ACCOUNT + "/tokens/{what}", tokens),
    ("GET", _ACCOUNT + "/objects/{object}/truth", truth),
)
