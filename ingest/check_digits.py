"""Check digits of the numbers that banks and registries give out."""

import re
from collections.abc import Mapping

_RRN_WEIGHTS = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
# Length of an IBAN by country (ISO 13616 registry).
IBAN_LENGTHS: Mapping[str, int] = {
    **dict.fromkeys(("NO",), 15),
    **dict.fromkeys(("BE",), 16),
    **dict.fromkeys(("DK", "FI", "FO", "GL", "NL"), 18),
    **dict.fromkeys(("MK", "SI"), 19),
    **dict.fromkeys(("AT", "BA", "EE", "KZ", "LT", "LU", "XK"), 20),
    **dict.fromkeys(("CH", "HR", "LI", "LV"), 21),
    **dict.fromkeys(("BG", "BH", "CR", "DE", "GB", "GE", "IE", "ME", "RS"), 22),
    **dict.fromkeys(("AE", "GI", "IL", "IQ", "TL"), 23),
    **dict.fromkeys(("AD", "CZ", "ES", "MD", "PK", "RO", "SA", "SE", "SK", "TN", "VG"), 24),
    **dict.fromkeys(("LY", "PT", "ST"), 25),
    **dict.fromkeys(("IS", "TR"), 26),
    **dict.fromkeys(("FR", "GR", "IT", "MC", "MR", "SM"), 27),
    **dict.fromkeys(("AL", "AZ", "BY", "CY", "DO", "EG", "GT", "HU", "LB", "PL", "SV"), 28),
    **dict.fromkeys(("BR", "PS", "QA", "UA"), 29),
    **dict.fromkeys(("JO", "KW", "MU"), 30),
    **dict.fromkeys(("MT", "SC"), 31),
    **dict.fromkeys(("LC",), 32),
}
_CARD_RANGES = re.compile(
    r"""
      4(?:\d{12}|\d{15}|\d{18})               # Visa
    | (?:5[1-5]|22[2-9]|2[3-6]|27[01])\d+     # Mastercard, cut to length below
    | 3[47]\d{13}                             # American Express
    | 3(?:0[0-5]|[689]\d)\d{11}               # Diners Club
    | 35\d{14}                                # JCB
    | 6\d{15,18}                              # UnionPay, Discover, Maestro
    | 5[0678]\d{14,17}                        # Maestro
    | 9\d{15}                                 # domestic Korean cards
    """,
    re.VERBOSE,
)


def is_card_number(digits: str) -> bool:
    """Whether digits are a payment card's: a known range (ISO/IEC 7812) and a valid Luhn sum."""
    if len(set(digits)) == 1 or not _CARD_RANGES.fullmatch(digits):
        return False
    if digits[0] in "25" and digits[1] not in "0678" and len(digits) != 16:
        return False
    return luhn_valid(digits)


def luhn_valid(digits: str) -> bool:
    """The Luhn sum of ISO/IEC 7812-1, Annex B."""
    total = 0
    for position, digit in enumerate(map(int, reversed(digits))):
        doubled = digit * 2 if position % 2 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def is_iban(compact: str) -> bool:
    """Whether letters and digits, upper case without spaces, are an IBAN (ISO 13616, mod 97)."""
    if IBAN_LENGTHS.get(compact[:2]) != len(compact):
        return False
    rearranged = compact[4:] + compact[:4]
    return int("".join(str(int(character, 36)) for character in rearranged)) % 97 == 1


def is_plausible_rrn(digits: str) -> bool:
    """Whether 13 digits can be a Korean resident or foreigner registration number.

    The seventh digit gives the century (1, 2, 5, 6: 1900s; 3, 4, 7, 8: 2000s), the first six the
    date of birth. Numbers given out since October 2020 carry no check digit.
    """
    if len(digits) != 13 or digits[6] not in "12345678":
        return False
    century = 1900 if digits[6] in "1256" else 2000
    return is_date(century + int(digits[:2]), int(digits[2:4]), int(digits[4:6]))


def has_rrn_check_digit(digits: str) -> bool:
    """Whether the last of 13 digits is the check digit of the scheme before October 2020."""
    weighted = sum(w * int(d) for w, d in zip(_RRN_WEIGHTS, digits[:12], strict=True))
    foreigner = 2 if digits[6] in "5678" else 0
    return (11 - weighted % 11 + foreigner) % 10 == int(digits[12])


def is_date(year: int, month: int, day: int) -> bool:
    """Whether a day exists in the Gregorian calendar."""
    if not (1 <= month <= 12 and day >= 1):
        return False
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    longest = 30 if month in (4, 6, 9, 11) else (29 if leap else 28) if month == 2 else 31
    return day <= longest
