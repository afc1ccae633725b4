"""Makers of invented values: each returns a function that draws one value of one record."""

from sync_pipelines.sandbox import names
from sync_pipelines.sandbox.clock import DAY_MS, day, iso, salesforce_iso
from sync_pipelines.sandbox.schema import Draw, Make

ODD_TEXTS = (
    'said "yes, soon" twice',
    "semi;colon, comma",
    "line one\nline two\ttabbed",
    "emoji 🚀✨ and family 👩‍👩‍👧",
    "back\\slash / slash",
    "'; DROP TABLE contacts; --",
    "ＦＵＬＬ ｗｉｄｔｈ ́combining",
    "  padded  ",
    "NULL",
    "N/A",
    "=1+1",
    "\u202eright-to-left\u202c",
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def pick(*choices: object) -> Make:
    count = len(choices)
    return lambda draw: choices[int(draw.rng.random() * count)]


def maybe(share: float, make: Make, otherwise: object = None) -> Make:
    return lambda draw: make(draw) if draw.rng.random() < share else otherwise


def constant(value: object) -> Make:
    return lambda draw: value


def given(draw: Draw) -> str:
    return names.GIVEN[int(draw.rng.random() * len(names.GIVEN))]


def family(draw: Draw) -> str:
    return names.FAMILY[int(draw.rng.random() * len(names.FAMILY))]


def company(draw: Draw) -> str:
    rng = draw.rng.random
    first = names.COMPANY_FIRST[int(rng() * len(names.COMPANY_FIRST))]
    second = names.COMPANY_SECOND[int(rng() * len(names.COMPANY_SECOND))]
    return f"{first} {second} {names.COMPANY_FORM[int(rng() * len(names.COMPANY_FORM))]}"


def join(first: str, second: str) -> Make:
    """Two fields of the record with a space between, as vendors compute a name."""

    def make(draw: Draw) -> str:
        return f"{draw.record[first] or ''} {draw.record[second] or ''}".strip()

    return make


def email(domain: str) -> Make:
    return lambda draw: f"person{draw.n + 1}@{domain}"


def domain(draw: Draw) -> str:
    return f"company{draw.n + 1}.example"


def website(draw: Draw) -> str:
    return f"https://www.company{draw.n + 1}.example"


def phone(draw: Draw) -> str:
    number = int(draw.rng.random() * 10_000_000)
    return f"+1 555 {number // 10_000:03d} {number % 10_000:04d}"


def street(draw: Draw) -> str:
    number = int(draw.rng.random() * 998) + 1
    text = f"{number} {names.STREETS[number % len(names.STREETS)]}"
    return f"{text}\nSuite {number % 40}" if number % 9 == 0 else text


def city(part: int) -> Make:
    """Part 0 city, 1 state, 2 postal code, 3 country; all parts of one record belong together."""
    return lambda draw: names.CITIES[draw.n % len(names.CITIES)][part]


def integer(low: int, high: int) -> Make:
    span = high - low + 1
    return lambda draw: low + int(draw.rng.random() * span)


def money(high: int) -> Make:
    """A number with at most two decimals, as a JSON number."""
    return lambda draw: int(draw.rng.random() * high * 100) / 100


def as_text(make: Make) -> Make:
    """HubSpot's way: every value is a string or null."""

    def text(draw: Draw) -> str | None:
        value = make(draw)
        if value is None:
            return None
        if isinstance(value, bool):
            return "true" if value else "false"
        return f"{value:g}" if isinstance(value, float) and value.is_integer() else str(value)

    return text


def money_text(draw: Draw) -> str:
    """ "$1,200.50", now and then something that is no amount at all."""
    dice = draw.rng.random()
    amount = int(draw.rng.random() * 90_000_000) / 100
    if dice < 0.94:
        return f"${amount:,.2f}"
    odd = ("about 1200", "n/a", "12k", "", "1.200,50 €", f"USD {amount:.2f}", "1200 (tbc)", "½")
    return odd[int(dice * 10_000) % len(odd)]


def day_in(low: int, high: int) -> Make:
    """A day between so many days from the world's now, as 2026-05-01."""
    span = high - low
    return lambda draw: day(draw.now + (low + int(draw.rng.random() * span)) * DAY_MS)


def day_text(low: int, high: int) -> Make:
    """A day typed by people: five formats, and a few texts that are none."""
    span = high - low

    def make(draw: Draw) -> str:
        plain = day(draw.now + (low + int(draw.rng.random() * span)) * DAY_MS)
        year, month, date = plain.split("-")
        shape = int(draw.rng.random() * 5.2)
        if shape >= 5:
            return ("", "end of Q3", "31/02/2026", "TBD")[int(draw.rng.random() * 4)]
        return (
            plain,
            f"{month}/{date}/{year}",
            f"{date}.{month}.{year}",
            f"{date} {_MONTHS[int(month) - 1]} {year}",
            f"{year}{month}{date}",
        )[shape]

    return make


def moment_in(low: int, high: int) -> Make:
    """A moment between so many days from the world's now, as the vendor spells it."""
    span = (high - low) * DAY_MS

    def make(draw: Draw) -> str:
        moment = draw.now + low * DAY_MS + int(draw.rng.random() * span)
        return salesforce_iso(moment) if draw.vendor == "salesforce" else iso(moment)

    return make


def chance(share: float) -> Make:
    return lambda draw: draw.rng.random() < share


def reference(object: str, share: float = 1.0) -> Make:
    """The id of another record of the account, or null for the rest."""

    def make(draw: Draw) -> str | None:
        count = draw.counts.get(object, 0)
        if not count or draw.rng.random() >= share:
            return None
        return draw.id_of(object, int(draw.rng.random() * count))

    return make


def sentence(draw: Draw) -> str:
    rng = draw.rng.random
    count = len(names.WORDS)
    return " ".join(names.WORDS[int(rng() * count)] for _ in range(5 + int(rng() * 6))) + "."


def notes(longest: int) -> Make:
    """Mostly empty, some sentences, now and then odd, very long, or with a NUL inside."""

    def make(draw: Draw) -> str | None:
        dice = draw.rng.random()
        if dice < 0.6:
            return None
        if dice < 0.97:
            return sentence(draw)
        if dice < 0.99:
            return ODD_TEXTS[int(draw.rng.random() * len(ODD_TEXTS))]
        if dice < 0.995:
            return f"before\x00after {draw.n}"
        if dice < 0.9995:
            return ""
        return ("long " * (longest // 5))[:longest]

    return make
