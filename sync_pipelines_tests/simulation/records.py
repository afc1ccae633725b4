"""The customer's CRM: random changes of its records, and what has to be remembered of them.

A record is left alone while something of it is still to come (a late change), and while its newest stamp lies ahead
of a vendor's clock that stepped back: then its next version would bear the earlier stamp, and the row rightly stays.
"""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sync_pipelines_tests.fixtures.place import ACME, BRIGHTWATER, HARBOR, KESTREL, LUMEN, QUILL

TEXTS = ("Ödön 🥇", 'O\'Hara "the" Second', "tab\there", "a;b", "x" * 300, "  padded ", "null", "0", "\\N", "é")
NUMBERS = (0, 1, -7.5, 12345678901.25, 0.1, 1e9, None)
WORDS = ("true", "no", "YES", "perhaps", "", None)
DAYS = ("2026-02-28", "2024-02-29", "03/04/2026", "", None, "1764547200000")
SUMS = ("12.50", "1e3", "n/a", "", "0", None, "12,50")

FIELDS = {
    ("salesforce", "contact"): ("FirstName", "LastName", "Phone", "Title", "Description", "MailingCity"),
    ("salesforce", "account"): ("Industry", "Website", "Phone", "Description", "BillingCity"),
    ("salesforce", "opportunity"): ("NextStep", "Description", "Type"),
    ("hubspot", "contact"): ("firstname", "lastname", "phone", "jobtitle", "message", "city"),
    ("hubspot", "account"): ("name", "website", "phone", "description", "city"),
    ("hubspot", "opportunity"): ("dealname", "description", "dealtype"),
}
"""Plain texts."""
CUSTOM_VALUES = {
    ACME: {"ARR__c": NUMBERS, "Tier__c": TEXTS, "Renewal_Date__c": (*DAYS[:2], None), "Strategic__c": (True, False)},
    BRIGHTWATER: {"Annual_Revenue_USD__c": NUMBERS, "Customer_Tier__c": TEXTS, "Contract_Renewal__c": DAYS},
    KESTREL: {"Revenue_Text__c": SUMS, "Segment__c": TEXTS, "Strategic_Flag__c": WORDS},
    LUMEN: {"arr": SUMS, "tier": TEXTS, "is_strategic": WORDS},
    HARBOR: {"annual_recurring_revenue": SUMS, "plan_tier": TEXTS, "key_account": WORDS},
    QUILL: {"rev_text": SUMS, "customer_class": TEXTS, "renewal_text": DAYS, "strategic_account": WORDS},
}
FEWEST_ALIVE = 4


@dataclass
class Records:
    """`modified`: the newest stamp by id of those alive. `purged`: gone without a trace; those that were alive
    then are `returnable`. `late`: {id: when it shows}.

    `unstamped`: fields that changed in every record without a stamp, so that only a full read has to show it.
    `hidden`: fields that vanished. `texts`: those that came back as texts. `back_by`: seconds of the overlap that the
    vendor's clock has used up so far.
    """

    control: object
    setup: object
    rng: object
    modified: dict = field(default_factory=dict)
    deleted: set = field(default_factory=set)
    purged: set = field(default_factory=set)
    returnable: set = field(default_factory=set)
    late: dict = field(default_factory=dict)
    unstamped: set = field(default_factory=set)
    hidden: set = field(default_factory=set)
    texts: set = field(default_factory=set)
    added: int = 0
    jumped: bool = False
    back_by: int = 0

    def __post_init__(self):
        for truth in self.truths():
            self._note(truth)

    def truths(self):
        return list(self.control.truth(self.setup.customer, self.setup.vendor_object))

    def change(self, name):
        """A random change of this kind; what it was, for the story. "" where it cannot be done now."""
        self._meet_late()
        return getattr(self, name)()

    def showed_since(self, moment):
        """Whether a late change has shown since then."""
        return any(moment < visible <= self.control.now() for visible in self.late.values())

    def update(self):
        chosen = self._some(self.rng.choice((1, 1, 2, 5)))
        for id in chosen:
            self._write(id=id, fields=self._fields())
        return self._told("update", chosen)

    def touch(self):
        """A new stamp and nothing else."""
        chosen = self._some(1)
        for id in chosen:
            self._write(id=id, fields={})
        return self._told("touch", chosen)

    def create(self):
        chosen = []
        for _ in range(self.rng.choice((1, 1, 2, 6))):
            more = {}
            if self.setup.vendor == "hubspot" and not self.jumped and self.rng.random() < 0.3:
                # From here on ids are longer, so that as texts they come before the old ones.
                self.jumped, more = True, {"id": "10001"}
            chosen.append(self._write(fields=self._fields() | self._computed(), **more))
        return self._told("create", chosen)

    def delete(self):
        chosen = self._some(self.rng.choice((1, 1, 3)), spare=FEWEST_ALIVE)
        for id in chosen:
            self._do(operation="delete", id=id)
            del self.modified[id]
            self.deleted.add(id)
        return self._told("delete", chosen)

    def merge(self):
        if self.setup.word == "opportunity" or len(self.modified) <= FEWEST_ALIVE:
            return ""
        chosen = self._some(2)
        if len(chosen) < 2:
            return ""
        loser, winner = chosen
        self._do(operation="merge", id=loser, into=winner)
        del self.modified[loser]
        self.deleted.add(loser)
        self.modified[winner] = self.control.now()
        return f"merge {loser} into {winner}"

    def purge(self):
        chosen = self._some(self.rng.choice((1, 1, 2, 4)), spare=FEWEST_ALIVE)
        if self.deleted and self.rng.random() < 0.3:
            chosen = [self.rng.choice(sorted(self.deleted))]
        self.returnable.update(id for id in chosen if id in self.modified)
        for id in chosen:
            self._do(operation="purge", id=id)
            self.modified.pop(id, None)
            self.deleted.discard(id)
            self.purged.add(id)
        return self._told("purge", chosen)

    def come_back(self):
        """A purged record is there again under its id, as after a restore from the vendor's backup."""
        if not self.returnable:
            return ""
        id = self.rng.choice(sorted(self.returnable))
        self._write(id=id, fields=self._fields() | self._computed())
        self.purged.discard(id)
        self.returnable.discard(id)
        return f"purged record {id} comes back"

    def tie(self):
        """Many records with one stamp."""
        if self.back_by or self.late:
            return ""
        ids = self.control.ties(self.setup.customer, self.setup.vendor_object, len(self.modified) // 2)
        moment = self.control.now()
        self.modified.update(dict.fromkeys(ids, moment))
        return f"{len(ids)} records get one stamp"

    def commit_late(self):
        """A change that shows later than its stamp says."""
        most = self.setup.overlap // 2 - 1
        if most < 1:
            return ""
        seconds = self.rng.randint(1, most)
        visible = self.control.now() + timedelta(seconds=seconds)
        ids = self._some(1) if self.rng.random() < 0.6 else [None]
        if not ids:
            return ""
        (id,) = ids
        wish = {"id": id, "fields": self._fields()} if id else {"fields": self._fields() | self._computed()}
        id = self._do(visible=visible, **wish)
        self.late[id] = visible
        return f"change {id}, visible {seconds} s late"

    def step_back(self, times):
        """The vendor's clock is set back by less than what the overlap covers."""
        most = self.setup.overlap // 2 - 1 - self.back_by
        if most < 1:
            return ""
        seconds = self.rng.randint(1, most)
        self.back_by += seconds
        times.step_back(seconds)
        return f"the vendor's clock steps back by {seconds} s"

    def schema(self):
        """A custom field vanishes, comes back (as a text) or is added."""
        customs = sorted(CUSTOM_VALUES[self.setup.customer]) if self.setup.mapped else []
        if self.hidden and self.rng.random() < 0.6:
            name = self.rng.choice(sorted(self.hidden))
            self._fault("field_added", field=name, value=self.rng.choice(("7", "2026-05-05", "yes")))
            self.hidden.discard(name)
            self.texts.add(name)
            self.unstamped.add(name)
            return f"the field {name} comes back"
        shown = [name for name in customs if name not in self.hidden]
        if shown and self.rng.random() < 0.7:
            name, where = self.rng.choice(shown), self.rng.choice(("both", "both", "describe", "data"))
            self._fault("field_vanished", field=name, where=where)
            self.hidden.add(name)
            self.unstamped.add(name)
            return f"the field {name} vanishes from {where}"
        self.added += 1
        name = f"Added_{self.added}__c" if self.setup.vendor == "salesforce" else f"added_{self.added}"
        self._fault("field_added", field=name, value=self.rng.choice(TEXTS))
        self.unstamped.add(name)
        return f"the field {name} is added"

    def _some(self, count, spare=0):
        """Up to so many records that may be changed now; `spare` of those alive are left."""
        now = self.control.now()
        free = [id for id, at in self.modified.items() if at <= now and id not in self.late]
        return self.rng.sample(sorted(free), max(0, min(count, len(free) - spare)))

    def _fields(self):
        """New values of a few fields, as this vendor would hold them."""
        values = dict.fromkeys(FIELDS[self.setup.vendor, self.setup.word], TEXTS)
        if self.setup.mapped:
            values |= CUSTOM_VALUES[self.setup.customer]
        names = self.rng.sample(sorted(values.keys() - self.hidden), self.rng.randint(1, 3))
        fields = {name: self.rng.choice(values[name]) for name in names}
        # A text holds nothing else, however it is read.
        fields |= {name: _as_text(fields[name]) for name in self.texts & fields.keys()}
        if self.setup.vendor == "salesforce":
            fields = {name: None if value == "" else value for name, value in fields.items()}
        return fields

    def _computed(self):
        """What the vendor itself fills in on a new record."""
        if (self.setup.vendor, self.setup.word) != ("hubspot", "opportunity"):
            return {}
        return {"hs_is_closed": "false", "hs_is_closed_won": "false"}

    def _write(self, **change):
        id = self._do(**change)
        self.modified[id] = self.control.now()
        return id

    def _do(self, **change):
        return self.control.record(self.setup.customer, self.setup.vendor_object, **change)

    def _fault(self, name, **options):
        self.control.fault(self.setup.customer, name, object=self.setup.vendor_object, **options)

    def _meet_late(self):
        """Late changes that show by now make ordinary records."""
        now = self.control.now()
        for id, visible in sorted(self.late.items()):
            if visible <= now:
                del self.late[id]
                self.modified[id] = visible

    def _note(self, truth):
        if truth["deleted"]:
            self.deleted.add(truth["id"])
        else:
            self.modified[truth["id"]] = datetime.fromisoformat(truth["modified"])

    def _told(self, what, ids):
        return f"{what} {', '.join(ids)}" if ids else ""


def _as_text(value):
    return value if value is None or isinstance(value, str) else json.dumps(value)
