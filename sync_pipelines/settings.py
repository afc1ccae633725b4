"""Every setting, typed, in one class: the only reader of the environment."""

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from sync_pipelines.model.errors import ConfigurationError
from sync_pipelines.model.retention import Keep
from sync_pipelines.model.secret import Secret

Kind = TypeVar("Kind", bound=BaseSettings)
_MADE_KEY = re.compile(r"[A-Za-z0-9_-]{43}=")
"""32 random bytes; what people think of is guessed."""
DEVELOPMENT_KEY = "insecure-development-key-do-not-use-outside-development"


class LogSettings(BaseSettings):
    """How a process logs; read apart, so that a verb can log before it is known whether all else is right."""

    model_config = SettingsConfigDict(
        env_prefix="SYNC_PIPELINES_", env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="DEBUG shows every vendor call, without secrets; verbs that end by themselves show WARNING"
    )
    log_format: Literal["text", "json"] = Field("text", description="Lines for people, or a JSON object a line")


class Settings(LogSettings):
    """Read from variables that begin with SYNC_PIPELINES_, then from `.env`, then from these defaults."""

    environment: str = Field("production", description="development or production; development allows default secrets")
    store_url: SecretStr = Field(
        SecretStr(""), description="Postgres URL of the store, e.g. postgresql+psycopg://user:password@host/store"
    )
    syncs_dir: Path = Field(Path("syncs"), description="Folder with providers/, destinations/ and syncs/ as YAML")
    application_id: str = Field("default", description="Written beside every row; tells several products apart")
    encryption_keys: SecretStr = Field(
        SecretStr(""),
        description="Key ring, comma-separated, newest first: the first seals (`sync-pipelines key new` makes it), all "
        "of them open",
    )
    hash_key: SecretStr = Field(
        SecretStr(""),
        description="Key of the transform `hash`: a long random text; with another one, every hash changes",
    )
    connections_at_once: int = Field(
        4, ge=1, le=64, description="How many connections, each with one object, one run syncs side by side"
    )
    chunk_rows: int = Field(5_000, ge=1, le=100_000, description="Records written in one transaction, about")
    due_every_seconds: int = Field(30, ge=1, description="How often the sensor looks for due work")
    silent_after_seconds: int = Field(
        60, ge=5, description="A run that gives no sign of life for so long is ended as failed, and its work comes back"
    )
    give_way_after_seconds: int = Field(
        600,
        ge=1,
        description="A customer that is at work for so long makes room at its next checkpoint where others wait",
    )
    sample_rows: int = Field(
        5, ge=0, le=100, description="Rows of a customer shown with a run in Dagster; 0 keeps rows out of its event log"
    )
    request_timeout_seconds: float = Field(60.0, gt=0, description="Longest wait for one answer of a vendor")
    retry_attempts: int = Field(6, ge=1, description="Tries of one vendor call before its connection is given up")
    keep_runs_days: int = Field(30, ge=1, description="How long runs that changed something or failed are kept")
    keep_idle_runs_hours: int = Field(24, ge=1, description="How long runs that changed nothing are kept")
    keep_record_changes_days: int = Field(30, ge=1, description="How long it is known what runs did to single records")
    keep_requests_days: int = Field(90, ge=1, description="How long it is known who asked for which run")
    keep_audit_days: int = Field(365, ge=1, description="How long it is known who changed what, and how fields changed")
    keep_budget_points_days: int = Field(
        7, ge=1, description="How long the hourly use of each account's API calls is kept"
    )
    keep_events_days: int = Field(
        30, ge=1, description="How long events for endpoints and their deliveries are kept, for replay"
    )
    keep_dagster_runs_days: int = Field(
        14, ge=1, description="How long Dagster's runs and events are kept; the newest of each partition stay"
    )
    require_apply: bool = Field(
        False, description="Runs refuse a configuration that was not applied with `sync-pipelines apply`"
    )
    executor: Literal["in_process", "celery"] = Field(
        "in_process", description="Where a run works: in its own process, or on a Celery worker"
    )
    celery_broker_url: SecretStr = Field(
        SecretStr(""), description="Where Celery keeps its queues, e.g. redis://:password@host:6379/0"
    )
    celery_backend_url: SecretStr = Field(
        SecretStr(""), description="Where Celery keeps its results; empty: where the queues are"
    )
    celery_queue_per_provider: bool = Field(
        False, description="A queue provider_<name> for each provider instead of one queue, dagster, for all"
    )
    code_server: str = Field(
        "",
        description="Where Dagster's code server of this project listens, as host:port or the path of a socket: it is "
        "asked to load anew when syncs were made by API",
    )
    keep_vendor_events_days: int = Field(
        7, ge=1, description="How long events of vendors are kept that could not be applied"
    )
    live_gather_seconds: float = Field(
        1.0, ge=0, le=60, description="Changes that a vendor tells of one object within so long are read together"
    )
    live_at_once: int = Field(
        4, ge=1, le=64, description="Of how many connections `sync-pipelines live` applies changes side by side"
    )
    api_calls_per_second: float = Field(
        50, gt=0, description="Calls that one token may make in a second, for long; counted by each API process"
    )
    api_burst: int = Field(200, ge=1, description="Calls that one token may make at once")
    api_strangers_per_second: float = Field(
        5, gt=0, description="Calls without a token that works, from one address, that are answered as such in a second"
    )
    api_stranger_burst: int = Field(100, ge=1, description="Calls without a token that works, from one address at once")
    api_trusted_proxies: str = Field(
        "",
        description="Addresses or networks, comma-separated, whose X-Forwarded-For and X-Forwarded-Proto are believed",
    )
    webhooks_to_private_addresses: bool = Field(
        False, description="Endpoints may be at addresses that are not public: for development and closed networks"
    )
    webhooks_at_once: int = Field(16, ge=1, le=200, description="How many deliveries one process sends side by side")
    dagster_url: str = Field(
        "", description="Where people open Dagster, for links in messages: https://dagster.example"
    )
    public_url: str = Field(
        "",
        description="Where customers' browsers and vendors' webhooks reach the API: https://sync.example",
    )
    embed_origins: str = Field(
        "", description="Origins of pages that may embed the connect page, comma-separated; empty: none"
    )
    product_name: str = Field("", max_length=100, description="What the connect page calls your product")
    connect_link_minutes: int = Field(
        15, ge=1, le=1_440, description="How long a link to the connect page can be opened"
    )
    connect_session_minutes: int = Field(
        60, ge=5, le=1_440, description="How long a browser that has opened it may use the connect page"
    )

    @model_validator(mode="after")
    def _refuse_default_secrets(self) -> "Settings":
        if self.environment != "development" and DEVELOPMENT_KEY in self.encryption_keys.get_secret_value():
            raise ValueError(
                "SYNC_PIPELINES_ENCRYPTION_KEYS holds the development key outside development: "
                "make one with `sync-pipelines key new` and put it first"
            )
        first = self.encryption_keys.get_secret_value().split(",")[0].strip()
        if self.environment != "development" and first and not _MADE_KEY.fullmatch(first):
            raise ValueError(
                "the first key of SYNC_PIPELINES_ENCRYPTION_KEYS is none that `sync-pipelines key new` made: make one "
                "and put it first; keys that sealed something stay behind it, comma between, and only open"
            )
        return self

    @field_validator("public_url")
    @classmethod
    def _a_whole_url(cls, written: str) -> str:
        if written and not re.fullmatch(r"https?://[^\s/?#@\"'<>;]+(/[A-Za-z0-9._~/-]*)?", written):
            raise ValueError("write scheme and host, such as https://sync.example")
        return written.rstrip("/")

    @field_validator("embed_origins")
    @classmethod
    def _origins(cls, written: str) -> str:
        for each in filter(None, map(str.strip, written.split(","))):
            if not re.fullmatch(r"https?://[A-Za-z0-9.*:\[\]-]+", each):
                raise ValueError(f"{each!r} is no origin: write such as https://app.example")
        return written

    @property
    def may_embed(self) -> tuple[str, ...]:
        """Origins of pages that may embed the connect page."""
        return tuple(each.strip() for each in self.embed_origins.split(",") if each.strip())

    @cached_property
    def key_ring(self) -> tuple[Secret, ...]:
        """Encryption keys, newest first. ConfigurationError when there is none."""
        keys = tuple(Secret(key.strip()) for key in self.encryption_keys.get_secret_value().split(",") if key.strip())
        if not keys:
            raise ConfigurationError(
                "No encryption key is set: make one with `sync-pipelines key new` and set "
                "SYNC_PIPELINES_ENCRYPTION_KEYS (in .env or the environment)."
            )
        return keys

    @property
    def transform_key(self) -> Secret | None:
        """The key of the transform `hash`; None when it is not set."""
        key = self.hash_key.get_secret_value()
        return Secret(key) if key else None

    @property
    def keep(self) -> Keep:
        """How long history is kept."""
        return Keep(
            runs=timedelta(days=self.keep_runs_days),
            idle_runs=timedelta(hours=self.keep_idle_runs_hours),
            record_changes=timedelta(days=self.keep_record_changes_days),
            requests=timedelta(days=self.keep_requests_days),
            audit=timedelta(days=self.keep_audit_days),
            budget_points=timedelta(days=self.keep_budget_points_days),
            vendor_events=timedelta(days=self.keep_vendor_events_days),
            events=timedelta(days=self.keep_events_days),
            dagster_runs=timedelta(days=self.keep_dagster_runs_days),
        )

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """All that the settings hold, to be kept out of logs: keys, and the passwords in URLs."""
        keys = (*self.encryption_keys.get_secret_value().split(","), self.hash_key.get_secret_value())
        urls = (self.store_url, self.celery_broker_url, self.celery_backend_url)
        passwords = [text for url in urls for text in _passwords(url.get_secret_value())]
        return tuple(Secret(text) for each in (*keys, *passwords) if (text := each.strip()))

    def require_store_url(self) -> str:
        """The store's URL. ConfigurationError when it is not set."""
        url = self.store_url.get_secret_value()
        if not url:
            raise ConfigurationError(
                "No store is set: set SYNC_PIPELINES_STORE_URL to a Postgres URL "
                "(postgresql+psycopg://user:password@host:5432/store), in .env or the environment."
            )
        return url

    def require_celery_urls(self) -> tuple[str, str]:
        """URLs of Celery's broker and of its result backend. ConfigurationError when no broker is set."""
        broker = self.celery_broker_url.get_secret_value()
        if not broker:
            raise ConfigurationError(
                "No Celery broker is set: set SYNC_PIPELINES_CELERY_BROKER_URL "
                "(redis://:password@host:6379/0), in .env or the environment."
            )
        return broker, self.celery_backend_url.get_secret_value() or broker


def _passwords(url: str) -> set[str]:
    """The password in a URL, as it is written and as it is meant."""
    try:
        written = urlsplit(url).password
    except ValueError:
        return set()
    return {written, unquote(written)} if written else set()


def read_settings() -> Settings:
    """The settings that the environment gives. ConfigurationError naming every variable that is wrong."""
    return _read(Settings)


def read_log_settings() -> LogSettings:
    """How to log, whatever else the environment says. ConfigurationError as in `read_settings`."""
    return _read(LogSettings)


def _read(kind: type[Kind]) -> Kind:
    try:
        return kind()
    except ValidationError as problem:
        wrong = "\n".join(f"  {_variable(error)}{error['msg']}" for error in problem.errors(include_input=False))
        raise ConfigurationError(f"The settings are wrong (in .env or the environment):\n{wrong}") from None


def _variable(error: Mapping[str, Any]) -> str:
    """An error of the settings as a whole names its variable itself."""
    return f"SYNC_PIPELINES_{str(error['loc'][0]).upper()}: " if error["loc"] else ""


def environment_variables() -> Mapping[str, str]:
    """The process environment, for `${NAME}` references in configuration files. A `.env` file fills what is missing."""
    values = dict(os.environ)
    file = Path(".env")
    if file.is_file():
        for line in file.read_text(encoding="utf-8").splitlines():
            name, equals, value = line.partition("=")
            if equals and not name.lstrip().startswith("#"):
                values.setdefault(name.strip(), value.strip().strip("\"'"))
    return values
