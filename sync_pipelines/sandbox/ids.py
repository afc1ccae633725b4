"""Ids as the vendors make them. Inside the sandbox a record's number is what orders it."""

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_VALUE = {digit: value for value, digit in enumerate(_DIGITS)}
_SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_NUMBER_WIDTH = 7


def salesforce_id(prefix: str, number: int) -> str:
    """18 characters: a prefix of 8 (key prefix and pod), the number in base 62, the vendor's case checksum of 3.

    The digits are in ASCII order, so ids order as their numbers do, and two ids may differ by case alone.
    """
    digits = ""
    while number:
        number, digit = divmod(number, 62)
        digits = _DIGITS[digit] + digits
    fifteen = prefix + digits.rjust(_NUMBER_WIDTH, "0")
    return fifteen + checksum(fifteen)


def checksum(fifteen: str) -> str:
    """The three characters that make a 15-character id safe where case is lost."""
    suffix = ""
    for start in (0, 5, 10):
        bits = 0
        for place, character in enumerate(fifteen[start : start + 5]):
            if "A" <= character <= "Z":
                bits |= 1 << place
        suffix += _SUFFIX[bits]
    return suffix


def salesforce_number(prefix: str, text: str) -> int | None:
    """The number behind an id of 15 or 18 characters; None when it is not one of this prefix."""
    if len(text) not in (15, 18) or not text.startswith(prefix):
        return None
    number = 0
    for digit in text[len(prefix) : 15]:
        if digit not in _VALUE:
            return None
        number = number * 62 + _VALUE[digit]
    return number
