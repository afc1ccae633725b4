"""One life: a random schedule of actions, then syncs until all is quiet, and the comparison with the CRM."""

import math
import random
import time
import traceback
from dataclasses import replace
from datetime import UTC

from sync_pipelines.model.errors import SyncError
from sync_pipelines.model.filter import DELETE
from sync_pipelines.model.schema_change import EVOLVE
from sync_pipelines.model.sync import APPEND, MIRROR, UPSERT
from sync_pipelines_tests.simulation import faults
from sync_pipelines_tests.simulation.checks import Destination, check_appended, check_counts, check_rows
from sync_pipelines_tests.simulation.happenings import Happenings, drawn_event, drawn_remapping_event
from sync_pipelines_tests.simulation.oracle import Oracle
from sync_pipelines_tests.simulation.process import Process, disciplined
from sync_pipelines_tests.simulation.records import Records
from sync_pipelines_tests.simulation.setup import CHANGES, drawn
from sync_pipelines_tests.simulation.shapes import SHAPED, drawn_shape, drawn_transform, reshaped, rule
from sync_pipelines_tests.simulation.story import Broken, PowerCut, Story, outcome
from sync_pipelines_tests.simulation.times import Times

ACTIONS = {
    "run": 42,
    "change_records": 40,
    "let_time_pass": 10,
    "step_back": 5,
    "break_vendor": 8,
    "mend_vendor": 3,
    "expire_tokens": 4,
    "revoke": 1,
    "lag_search": 2,
    "change_schema": 6,
    "map": 5,
    "reconfigure": 6,
    "restart": 2,
    "settle": 9,
}
RECORD_CHANGES = {
    "update": 30,
    "touch": 3,
    "create": 16,
    "delete": 12,
    "merge": 7,
    "purge": 9,
    "come_back": 4,
    "tie": 3,
    "commit_late": 16,
}
APPENDING = 8
"""One life in so many has the mode append, until it is changed for a while. Decided apart from all else, so that
every other seed lives as it did before there was this mode."""
MOST_RUNS = 10
"""Until all must be quiet."""
SHOWN = 6
"""Differences that a story tells; the others are counted."""


class Life:
    """Everything that is decided comes from `rng`, in the order of this one thread."""

    def __init__(self, ground, story, *, shaped=False):
        self.ground = ground
        self.story = story
        self.rng = random.Random(f"life {story.seed}")
        random.seed(story.seed)  # the jitter of retries
        ground.clear()
        self.setup = drawn(self.rng, ground.accounts)
        # Apart from `rng`, like the modes.
        self.remapping = random.Random(f"remapping {story.seed}")
        self.modes = random.Random(f"modes {story.seed}") if story.seed % APPENDING == 0 else None
        if self.modes:
            self.setup = replace(self.setup, mode=APPEND)
        self.shapes = random.Random(f"shapes {story.seed}") if shaped else None
        if self.shapes:
            self.setup = replace(self.setup, shape=drawn_shape(self.shapes, self.setup))
        self.transform = ""
        self.times = Times(ground.control, self.setup.skew)
        self.records = Records(ground.control, self.setup, self.rng)
        self.mapping = {}
        self.mode_changed = False
        self.lost_records = False
        self.process = None
        self.destination = None
        self._told_requests = 0

    def live(self):
        self.story.tell(f"{self.setup.customer} {self.setup.word}, {len(self.records.modified)} records: {self.setup}")
        self._start()
        self.destination = Destination(self.ground, self.process.table, self.process.scope)
        self._connect()
        if self.setup.page < 200:
            self._short_pages()
        self.map()
        for _ in range(self.rng.randint(8, 16)):
            getattr(self, self.rng.choices(list(ACTIONS), weights=list(ACTIONS.values()))[0])()
        self._come_to_the_end()

    # What a schedule is made of

    def run(self):
        full = self.rng.random() < 0.2
        count = self.rng.choices((0, 1, 2), weights=(15, 55, 30))[0]
        events = [drawn_event(self.rng) for _ in range(count)]
        if self.remapping.random() < 0.3:
            events.append(drawn_remapping_event(self.remapping))
        told = "".join(f", {event}" for event in events)
        if self.rng.random() < 0.7:
            self.reconnect()
        self.times.go_on(self.rng.choice((0, 0, 1, 2, 20)))
        self.story.act("runs", f"run{' full' if full else ''}{told}")
        run = self._sync(full=full, events=events)
        if (run is None or run.status in ("error", "cancelled")) and self.rng.random() < 0.6:
            # What happens while a reading waits to be gone on with is what its frozen bounds are for.
            self.change_records()
            self.let_time_pass()

    def change_records(self):
        name = self.rng.choices(list(RECORD_CHANGES), weights=list(RECORD_CHANGES.values()))[0]
        if told := self.records.change(name):
            self.story.act(name.replace("_", " "), told)

    def let_time_pass(self):
        seconds = self.rng.choice((1, 1, 30, 600, 4000))
        self.times.go_on(seconds)
        self.story.act("time", f"{seconds} s pass")

    def step_back(self):
        if told := self.records.step_back(self.times):
            self.story.act("clock steps", told)

    def break_vendor(self):
        name, options = faults.drawn(self.rng, self.setup.vendor)
        self.lost_records = self.lost_records or name == "record_without_id"
        self.ground.control.fault(self.setup.customer, name, **options)
        told = " ".join(f"{key}={value}" for key, value in options.items())
        self.story.act("faults", f"vendor breaks: {name} {told}")

    def mend_vendor(self):
        self.ground.control.clear_faults(self.setup.customer)
        self._short_pages()
        self.story.act("mended", "vendor is well again")

    def expire_tokens(self):
        self.ground.control.expire_tokens(self.setup.customer)
        self.story.act("tokens", "access tokens end")

    def revoke(self):
        self.ground.control.revoke_tokens(self.setup.customer)
        self.story.act("tokens", "the customer takes our access away")

    def reconnect(self):
        if self.process.connection().status == "expired":
            self._connect()
            self.story.act("tokens", "the customer connects again")

    def lag_search(self):
        most = self.setup.overlap // 2 - 1
        if self.setup.vendor == "hubspot" and most >= 1:
            seconds = self.rng.randint(1, most)
            self.ground.control.settings(self.setup.customer, search_lag=seconds)
            self.story.act("lag", f"search shows changes {seconds} s late")

    def change_schema(self):
        self.story.act("schema", self.records.schema())

    def map(self):
        if not self.setup.mapped:
            return
        meanings = self.ground.accounts[self.setup.customer].meanings[self.setup.vendor_object]
        mapping = {name: meanings[name] for name in self.setup.customs if self.rng.random() < 0.8}
        for name in mapping:
            if self.rng.random() < 0.12:
                mapping[name] = self.rng.choice(sorted(meanings.values()))
        self.mapping = mapping
        if self.shapes:
            own = mapping.get(SHAPED) == meanings[SHAPED]
            self.transform = drawn_transform(self.shapes) if own else ""
        self.process.map(self._rules())
        told = ", ".join(f"{key}={value}" for key, value in mapping.items()) or "nothing"
        self.story.act("mapping", f"map {told}{f', {SHAPED} by {self.transform}' if self.transform else ''}")

    def reconfigure(self):
        before = self.setup
        setup = self.rng.choice(CHANGES)(before, self.rng)
        if self.modes and self.modes.random() < 0.5:
            setup = replace(setup, mode=self.modes.choice((APPEND, UPSERT, MIRROR)))
        if self.shapes and self.shapes.random() < 0.5:
            setup = replace(setup, shape=reshaped(setup.shape, self.shapes, setup))
        self._adopt(setup)
        self.story.act("settings", f"settings become: {setup}")

    def restart(self):
        self._start()
        self.story.act("restarts", "the process is started anew")

    def settle(self):
        """Whatever is broken is mended; then runs until nothing changes. A full read later on might heal a defect."""
        self.story.act("settled", "everything is mended")
        self.ground.control.clear_faults(self.setup.customer)
        self._short_pages()
        self.times.go_on(max(self.records.back_by + 2, self._rest()))
        self._adopt(replace(self.setup, delete_brake=1.0, attempts=3))
        if self.process.connection().status == "expired":
            self._connect()
        # What is under way is only read as far as its old bounds, so a run that changes nothing may still be this one.
        self._sync()
        self._accept()
        self._until_quiet()
        self._compare(may_be_behind=True)
        self.destination.check_at_rest()

    # How it is done

    def _rest(self):
        """Seconds for which the vendor has told us to stay away from the account."""
        connection = self.process.connection()
        until = self.process.project.budgets_of([connection])[connection.id].held_until
        return 0 if until is None else math.ceil((until - self.times.ours(UTC)).total_seconds()) + 1

    def _accept(self):
        """Whoever keeps changed fields away takes them now; a run that met them has just been."""
        if self.setup.shape.policy != EVOLVE:
            self.process.project.store.schemas.accept(self.process.connection(), self.setup.word, actor="simulation")

    def _rules(self):
        """The mapping as it is saved."""
        shaped = {SHAPED: rule(self.mapping[SHAPED], self.transform)} if self.transform else {}
        return self.mapping | shaped

    def _adopt(self, setup):
        self.mode_changed = self.mode_changed or setup.mode != self.setup.mode
        self.setup = self.records.setup = setup
        unmapped = {name: source for name, source in self.mapping.items() if name in setup.customs}
        if unmapped != self.mapping:
            self.mapping = unmapped
            self.transform = self.transform if SHAPED in unmapped else ""
            self.process.map(self._rules())
        self._start()

    def _start(self):
        if self.process is not None:
            self.process.end()
        self.times.forget_paces()
        self.process = Process(self.ground, self.times, self.setup)

    def _connect(self):
        self.process.connect(
            self.ground.accounts[self.setup.customer], self.ground.control.new_tokens(self.setup.customer)
        )

    def _short_pages(self):
        self.ground.control.fault(
            self.setup.customer, "short_pages", size=self.setup.page, object=self.setup.vendor_object
        )

    def _sync(self, *, full=False, events=()):
        """One run with its events, and the checks after it. The SyncRun, None where the process did not outlive it."""
        before = self.destination.seen()
        rows = self.destination.rows() if self.setup.mode == APPEND else ()
        happened = Happenings(self, events)
        with disciplined(self.setup):
            try:
                run = self.process.sync(full=full, at_step=happened)
            except PowerCut:
                run = None
            except SyncError as problem:
                # The outcome could not be stored, which is the store's trouble and nobody else's.
                if not happened.store_was_cut:
                    raise Broken(f"a run ended with {problem!r}") from problem
                run = None
        self._tell(run, happened)
        if run is None or happened.stopped:
            self._start()
        after = self.destination.seen()
        removes = bool(self.setup.shape.conditions) and self.setup.shape.leaving == DELETE
        check_rows(before, after, self.setup.mode, removes=removes)
        if run is not None and not happened.others_worked:
            check_counts(run, before, after, self.setup.mode, removes=removes)
        if self.setup.mode == APPEND:
            self._check_appended(rows, undisturbed=run is not None and not events)
        self.destination.place_bystanders()
        return run

    def _check_appended(self, before, *, undisturbed):
        new = check_appended(before, self.destination.rows())
        if undisturbed:
            found = list(self._oracle(may_be_behind=True).wrong_when_added(new))
            if found:
                raise Broken(f"added wrongly: {'; '.join(found[:SHOWN])}")

    def _tell(self, run, happened):
        calls = self.ground.control.calls(self.setup.customer, since=self._told_requests)
        self._told_requests = calls[-1]["number"] if calls else self._told_requests
        self.story.requests += [f"{call['method']} {call['path']} {call['params']} {call['status']}" for call in calls]
        self.story.counts["requests"] += len(calls)
        self.story.counts["steps"] += happened.steps
        self.story.tell(f"  {len(calls)} calls, {outcome(run)}")
        if run is not None:
            self.story.counts["records written"] += run.counts.changed
            if run.error_message.startswith("An unexpected error"):
                raise Broken(run.error_message)

    def _come_to_the_end(self):
        self.times.go_on(4000)
        self.settle()
        last = self._sync(full=True)
        if last.status != "success":
            raise Broken(f"the last full read ended with {outcome(last)}")
        self._until_quiet()
        self._compare(may_be_behind=False)
        self.destination.check_bystanders()

    def _until_quiet(self):
        """Until a run succeeds and changes nothing, not one byte.

        A run may learn which text a row stands for, which is no change to anybody: then it was not yet the last one.
        Nor was it where a late change showed while the run waited for the vendor, or where it only went on with an
        older reading, within the bounds of that.
        """
        for number in range(MOST_RUNS):
            before, began, new = self.destination.rows(), self.times.vendor(), self.destination.is_read_to_its_end()
            run = self._sync()
            if run.status == "success" and not run.counts.changed:
                after = self.destination.rows()
                if list(map(_without_hash, after)) != list(map(_without_hash, before)):
                    raise Broken("a run told of no change and changed something")
                if new and after == before and not self.records.showed_since(began):
                    return
            if run.status != "success" and number > 2:
                raise Broken(f"nothing is broken any more, and a run ends with {outcome(run)}")
            if self.process.connection().status == "expired":
                self._connect()
            if run.status != "success":
                self._accept()  # only a run that reaches the account meets what changed there
        raise Broken(f"not quiet after {MOST_RUNS} runs; the last one: {outcome(run)}")

    def _compare(self, *, may_be_behind):
        if may_be_behind and self.lost_records:
            return
        found = list(self._oracle(may_be_behind).differences(self.destination.rows()))
        if found:
            when = "all was quiet" if may_be_behind else "the last full read"
            more = f" and {len(found) - SHOWN} more" if found[SHOWN:] else ""
            raise Broken(f"after {when}: {'; '.join(found[:SHOWN])}{more}")

    def _oracle(self, may_be_behind):
        return Oracle(
            self.setup,
            self.records,
            self.mapping,
            self.ground.accounts[self.setup.customer],
            may_be_behind=may_be_behind,
            mode_changed=self.mode_changed,
            transform=self.transform,
        )


def _without_hash(row):
    return {name: value for name, value in row.items() if name != "_sync_hash"}


def lived(ground, seed, *, shaped=False):
    """The Story of a seed's life; `broken` says which promise it broke, if any. `shaped`: its other life."""
    story = Story(seed, shaped=shaped)
    began, cpu, chance = time.perf_counter(), time.process_time(), random.getstate()
    life = Life(ground, story, shaped=shaped)
    try:
        with life.times.in_force():
            life.live()
    except Broken as promise:
        story.broken = str(promise)
    except Exception:  # a seed that breaks the simulation itself is told like any other
        story.broken = traceback.format_exc()
    finally:
        if life.process is not None:
            life.process.end()
        random.setstate(chance)
    story.seconds, story.cpu = time.perf_counter() - began, time.process_time() - cpu
    return story
