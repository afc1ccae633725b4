"""A small client of Dagster's GraphQL: what the UI does, for the demo and for tests."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

from sync_pipelines.orchestration import queries
from sync_pipelines.orchestration.names import LOCATION

ENDED = frozenset({"SUCCESS", "FAILURE", "CANCELED"})
BACKFILL_ENDED = frozenset({"COMPLETED", "COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED", "CANCELED"})
REPOSITORY = "__repository__"
ASSET_JOB = "__ASSET_JOB"
POLL_SECONDS = 0.3


class DagsterRefused(Exception):
    """Dagster answered with an error; the text is its own."""


class DagsterTimeout(Exception):
    """Something had not happened by the deadline."""


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """`status` as Dagster names it (QUEUED, STARTED, SUCCESS, FAILURE ...); tags as they were given to the run."""

    run_id: str
    job: str
    status: str
    tags: Mapping[str, str]

    @property
    def ended(self) -> bool:
        return self.status in ENDED


@dataclass(frozen=True, kw_only=True)
class PartitionStatuses:
    """Partition keys of one asset by what the UI shows for them."""

    materialized: frozenset[str]
    failed: frozenset[str]
    missing: frozenset[str]
    materializing: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Materialization:
    """One materialisation event. `metadata` by label: numbers, texts, booleans, markdown; a schema as JSON has it."""

    run_id: str
    partition: str | None
    timestamp: float
    metadata: Mapping[str, Any]


class DagsterClient:
    """Speaks to one webserver, e.g. DagsterClient("http://127.0.0.1:3000"). Errors: DagsterRefused, httpx.HTTPError."""

    def __init__(self, url: str, *, location: str = LOCATION, timeout: float = 60) -> None:
        self.location = location
        self._http = httpx.Client(base_url=url, timeout=timeout, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The answer's `data`."""
        response = self._http.post("/graphql", json={"query": query, "variables": variables})
        if response.status_code >= 500:
            response.raise_for_status()
        answer = response.json()
        if answer.get("errors"):
            raise DagsterRefused("; ".join(str(error.get("message")) for error in answer["errors"]))
        data: dict[str, Any] = answer["data"]
        return data

    def load_error(self) -> str | None:
        """None once the code location is loaded, else why it is not (empty while it is still loading)."""
        entries = self.ask(queries.LOCATIONS)["workspaceOrError"].get("locationEntries", [])
        for entry in entries:
            if entry["name"] == self.location and entry["loadStatus"] == "LOADED":
                place = entry["locationOrLoadError"]
                return None if place["__typename"] == "RepositoryLocation" else _every_message(place)
        return ""

    def reload(self) -> None:
        self.ask(queries.RELOAD, name=self.location)

    def daemons_healthy(self) -> bool:
        """Whether every daemon that this instance needs has reported in lately."""
        statuses = self.ask(queries.DAEMONS)["instance"]["daemonHealth"]["allDaemonStatuses"]
        return all(status["healthy"] for status in statuses if status["required"])

    def launch_job(
        self, job: str, *, run_config: Mapping[str, Any] | None = None, tags: Mapping[str, str] | None = None
    ) -> str:
        """Start a job; the run's id."""
        return self._launch({"jobName": job}, run_config, tags)

    def materialize(self, asset: Sequence[str], partition: str, *, run_config: Mapping[str, Any] | None = None) -> str:
        """Materialise one partition of one asset, as the UI's button does; the run's id."""
        selector = {"jobName": ASSET_JOB, "assetSelection": [{"path": list(asset)}]}
        return self._launch(selector, run_config, {"dagster/partition": partition})

    def materialize_range(self, asset: Sequence[str], first: str, last: str) -> str:
        """Materialise all partitions from first to last, in the UI's order, as one run; the run's id."""
        selector = {"jobName": ASSET_JOB, "assetSelection": [{"path": list(asset)}]}
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
        return self._launch(selector, None, tags)

    def backfill(self, assets: Sequence[Sequence[str]], partitions: Sequence[str]) -> str:
        """Start a backfill of these partitions of assets; its id.

        Neighbouring partitions share a run, scattered ones get one each; the assets of a sync share all of them.
        """
        selection = [{"path": list(asset)} for asset in assets]
        parameters = {"assetSelection": selection, "partitionNames": list(partitions)}
        result = self.ask(queries.BACKFILL, parameters=parameters)["launchPartitionBackfill"]
        return str(_accepted(result, "LaunchBackfillSuccess")["backfillId"])

    def runs(self, *, tags: Mapping[str, str] | None = None, limit: int = 100) -> list[RunSummary]:
        """Newest first."""
        wanted = {"tags": [{"key": key, "value": value} for key, value in (tags or {}).items()]}
        results = _accepted(self.ask(queries.RUNS, filter=wanted, limit=limit)["runsOrError"], "Runs")["results"]
        return [_summary(result) for result in results]

    def run(self, run_id: str) -> RunSummary:
        return _summary(_accepted(self.ask(queries.RUN, id=run_id)["runOrError"], "Run"))

    def wait_for_run(self, run_id: str, *, seconds: float = 120) -> RunSummary:
        """The run once it has ended. DagsterTimeout when it has not by then."""
        deadline = time.monotonic() + seconds
        while not (run := self.run(run_id)).ended:
            _rest(deadline, f"Run {run_id} is still {run.status} after {seconds:.0f} s: look at it in the Dagster UI.")
        return run

    def wait_for_backfill(
        self, backfill_id: str, *, expected_runs: int | None = None, seconds: float = 180
    ) -> list[RunSummary]:
        """The backfill's runs once it has ended. DagsterTimeout when it has not by then.

        Dagster looks at backfills twice a minute: who knows how many runs are to come need not wait for its last look.
        """
        deadline = time.monotonic() + seconds
        while True:
            answer = self.ask(queries.BACKFILL_STATUS, id=backfill_id)["partitionBackfillOrError"]
            status = _accepted(answer, "PartitionBackfill")["status"]
            runs = self.runs(tags={"dagster/backfill": backfill_id})
            if all(run.ended for run in runs) and (status in BACKFILL_ENDED or len(runs) == expected_runs):
                return runs
            _rest(deadline, f"Backfill {backfill_id} is still {status} after {seconds:.0f} s.")

    def partition_keys(self, asset: Sequence[str]) -> list[str]:
        """In Dagster's order, which is the order in which the partitions were added."""
        return [str(key) for key in self._asset(queries.PARTITION_KEYS, asset)["partitionKeys"]]

    def partition_statuses(self, asset: Sequence[str]) -> PartitionStatuses:
        found = self._asset(queries.PARTITION_STATUSES, asset)["assetPartitionStatuses"]
        failed, working = frozenset(found["failedPartitions"]), frozenset(found["materializingPartitions"])
        return PartitionStatuses(
            materialized=frozenset(found["materializedPartitions"]),
            failed=failed,
            missing=frozenset(found["unmaterializedPartitions"]) - failed - working,
            materializing=working,
        )

    def materializations(
        self, asset: Sequence[str], *, partitions: Sequence[str] | None = None, limit: int = 50
    ) -> list[Materialization]:
        """Newest first."""
        wanted = list(partitions) if partitions is not None else None
        found = self._asset(queries.MATERIALIZATIONS, asset, partitions=wanted, limit=limit)["assetMaterializations"]
        return [
            Materialization(
                run_id=event["runId"],
                partition=event["partition"],
                timestamp=float(event["timestamp"]) / 1000,
                metadata={entry["label"]: _value(entry) for entry in event["metadataEntries"]},
            )
            for event in found
        ]

    def _launch(
        self, selector: Mapping[str, Any], run_config: Mapping[str, Any] | None, tags: Mapping[str, str] | None
    ) -> str:
        parameters = {
            "selector": {
                **selector,
                "repositoryName": REPOSITORY,
                "repositoryLocationName": self.location,
            },
            "runConfigData": dict(run_config or {}),
            "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in (tags or {}).items()]},
        }
        result = self.ask(queries.LAUNCH, parameters=parameters)["launchRun"]
        return str(_accepted(result, "LaunchRunSuccess")["run"]["runId"])

    def _asset(self, query: str, asset: Sequence[str], **variables: Any) -> dict[str, Any]:
        answer = self.ask(query, key={"path": list(asset)}, **variables)["assetNodeOrError"]
        return _accepted(answer, "AssetNode")


def _accepted(answer: dict[str, Any], wanted: str) -> dict[str, Any]:
    if answer["__typename"] != wanted:
        details = answer.get("message") or "; ".join(str(error.get("message")) for error in answer.get("errors", ()))
        raise DagsterRefused(f"{answer['__typename']}: {details}" if details else str(answer["__typename"]))
    return answer


def _every_message(error: Mapping[str, Any]) -> str:
    messages = [error["message"], *(link["error"]["message"] for link in error.get("errorChain") or ())]
    return "".join(f"{message.strip()}\n" for message in dict.fromkeys(messages))


def _summary(run: Mapping[str, Any]) -> RunSummary:
    return RunSummary(
        run_id=run["runId"],
        job=run["jobName"],
        status=run["status"],
        tags={tag["key"]: tag["value"] for tag in run["tags"]},
    )


def _value(entry: Mapping[str, Any]) -> Any:
    for name in ("intRepr", "floatValue", "boolValue", "text", "mdStr", "jsonString", "schema", "path", "url"):
        if name in entry:
            return int(entry[name]) if name == "intRepr" else entry[name]
    return None


def _rest(deadline: float, otherwise: str) -> None:
    if time.monotonic() > deadline:
        raise DagsterTimeout(otherwise)
    time.sleep(POLL_SECONDS)
