"""Finding personal data: patterns propose, check digits and context decide.

Amounts, dates, statutes, business numbers and product codes must not be found.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from ingest.check_digits import (
    IBAN_LENGTHS,
    has_rrn_check_digit,
    is_card_number,
    is_date,
    is_iban,
    is_plausible_rrn,
)

Span: TypeAlias = tuple[int, int]
Detector: TypeAlias = Callable[[str], Iterator[Span]]

# A number stands alone: no digit touches it, not even across a hyphen, nor does a Latin letter,
# as in a product code. Hangul may follow at once, as particles do.
_BEFORE = r"(?<![0-9A-Za-z])(?<![0-9A-Za-z]-)"
_AFTER = r"(?![0-9A-Za-z])(?!-[0-9A-Za-z])"
_ALONE_LEFT = _BEFORE + r"(?<![0-9][.,])(?<![$€£¥₩])(?<![$€£¥₩] )"
_ALONE_RIGHT = (
    _AFTER + r"(?![.,][0-9])"
    r"(?!\s?(?:[%$€£¥₩]|원(?![하합해])|[십백천]?[만억조]|달러|유로|엔(?![가-힣])|won\b|KRW\b|USD\b|EUR\b|JPY\b))"
)

_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}"
    r"(?:@|\s?[\[(](?:at|골뱅이)[\])]\s?)"
    r"(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9])"
)

_IBAN_START = re.compile(r"(?<![0-9A-Za-z])[A-Za-z]{2}[0-9]{2}(?=[ -]?[0-9A-Za-z])")

_RRN = re.compile(_BEFORE + r"([0-9]{6})(\s?-\s?|\s?)([0-9]{7})" + _AFTER)
_RRN_STARRED = re.compile(_BEFORE + r"[0-9]{6}\s?-\s?[1-8][*xX●•○]{6}")
_RRN_CONTEXT = re.compile(
    r"주민\s?등록|주민\s?번호|외국인\s?등록|국내거소|생년월일|\bRRN\b|resident registration|"
    r"alien registration|foreigner registration",
    re.IGNORECASE,
)
_CORPORATE_CONTEXT = re.compile(r"법인\s?등록|법인\s?번호|corporate registration", re.IGNORECASE)

_CARD_GROUPED = re.compile(
    _BEFORE + r"(?:[0-9]{4}([-. ])[0-9]{4}\1[0-9]{4}\1[0-9]{1,7}"
    r"|[0-9]{4}([- ])[0-9]{6}\2[0-9]{4,5})" + _AFTER
)
_CARD_STRAIGHT = re.compile(_ALONE_LEFT + r"[0-9]{13,19}" + _ALONE_RIGHT)
_CARD_CONTEXT = re.compile(r"카드|\b(?:card|visa|mastercard|amex)\b", re.IGNORECASE)

_PHONE_KR = re.compile(
    r"(?<![0-9A-Za-z])(?<![0-9]-)(?:"
    # +82 10-1234-5678, +82 (0)2 123 4567
    r"(?:\+|00)82[-. )]{0,2}(?:\(0\)|0)?[-. ]?(?:1[016789]|2|[3-6][1-5]|70|50[0-9])"
    r"[-. ]?[0-9]{3,4}[-. ]?[0-9]{4}"
    # 010-1234-5678, 010.1234.5678, 010 1234 5678, 01012345678
    r"|01[016789][-. ]{0,3}[0-9]{3,4}[-. ]{0,3}[0-9]{4}"
    # 02-123-4567, 02)123-4567, (031) 123-4567, 070-1234-5678, 0502-1234-5678
    r"|\(?0(?:2|3[1-3]|4[1-4]|5[1-5]|6[1-4]|70|50[2-8])(?:\)\s?|\s?-\s?|[. ])[0-9]{3,4}"
    r"(?:\s?-\s?|[. ])[0-9]{4}"
    r")(?![0-9])(?!-[0-9])"
)
# Country codes of ITU-T E.164, then 7 to 12 digits in groups.
_PHONE_WORLD = re.compile(
    r"(?<![0-9A-Za-z+])\+(?:1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|"
    r"2[1-689][0-9]|3[578][0-9]|42[0-9]|5[09][0-9]|6[7-9][0-9]|8[058][0-9]|9[679][0-9])"
    r"(?:[-. ]?\([0-9]{1,4}\))?(?:[-. ]?[0-9]{1,5}){2,5}(?![0-9])(?![,.][0-9])"
)
# North American numbers; 8xx area codes with equal digits are toll-free, that is, companies'.
_PHONE_NANP = re.compile(
    r"(?<![0-9A-Za-z$.])(?<![0-9A-Za-z]-)(?!\(?8(?:00|33|44|55|66|77|88))"
    r"(?:\([2-9][0-9]{2}\)\s?|[2-9][0-9]{2}[-.])[2-9][0-9]{2}[-.][0-9]{4}(?![0-9])(?!-[0-9])"
)
_PHONE_NAMED = re.compile(
    r"(?:전화|연락처|휴대폰|핸드폰|휴대전화|팩스|\btel\b|\bfax\b|phone\b|\bmobile\b|\bcell\b|☎|☏)"
    r"[^0-9\n(+\[]{0,15}"
    r"(\(?0[0-9][0-9 ().-]{6,16}[0-9])(?![0-9])(?!-[0-9])",
    re.IGNORECASE,
)

# Hyphen forms of Korean banks. 3-2-5 is a business registration number, which is public.
_ACCOUNT_FORMS = re.compile(
    _BEFORE + r"(?:"
    r"[0-9]{3}-[0-9]{3}-[0-9]{6}"  # Shinhan, K bank, Kwangju
    r"|[0-9]{4}-[0-9]{3}-[0-9]{6}"  # Woori
    r"|[0-9]{6}-[0-9]{2}-[0-9]{6}"  # KB Kookmin, Korea Post
    r"|[0-9]{3}-[0-9]{6}-[0-9]{5}"  # Hana
    r"|[0-9]{3}-[0-9]{4}-[0-9]{4}-[0-9]{2}"  # NH
    r"|[0-9]{3}-[0-9]{6}-[0-9]{2}-[0-9]{3}"  # IBK
    r"|[0-9]{4}-[0-9]{2}-[0-9]{7}"  # Kakao Bank, Jeonbuk
    r"|100[0-9]-[0-9]{4}-[0-9]{4}"  # Toss Bank
    r"|[0-9]{3}-[0-9]{2}-[0-9]{6}(?:-[0-9])?"  # SC, Busan, Daegu, Suhyup
    r"|[0-9]{4}-[0-9]{2}-[0-9]{6}-[0-9]"  # Saemaul
    r"|9[0-9]{3}-[0-9]{4}-[0-9]{4}-[0-9]"  # Saemaul, newer
    r")" + _AFTER
)
_ACCOUNT_NAMED = re.compile(
    r"(?:계좌|입금처|송금처|예금주|(?:국민|신한|우리|하나|농협|기업|수협|씨티|부산|대구|광주|전북|경남|제주|산업)\s?은행?"
    r"|농협|카카오\s?뱅크|토스\s?뱅크|케이\s?뱅크|새마을\s?금고|우체국|신협|SC\s?제일"
    r"|\baccount(?:\s+(?:number|no\.?|num|\#))?|\ba/c(?:\s+no\.?)?|\bacct\.?(?:\s+no\.?)?)"
    r"[^0-9\n\[A-Za-z]{0,12}(?:is\s|no\.?\s)?"
    r"((?<![0-9.,])[0-9]{2,}(?:[ -][0-9]{1,7}){0,4})" + _ALONE_RIGHT,
    re.IGNORECASE,
)
_DATE_LIKE = re.compile(r"((?:19|20)[0-9]{2})[- ]?([01][0-9])[- ]?([0-3][0-9])(?![0-9])")
MIN_ACCOUNT_DIGITS = 8
MAX_ACCOUNT_DIGITS = 17
CONTEXT_CHARACTERS = 40


def _emails(text: str) -> Iterator[Span]:
    return (match.span() for match in _EMAIL.finditer(text))


def _ibans(text: str) -> Iterator[Span]:
    """An IBAN's length follows from its country; spaces and hyphens may stand between groups."""
    for match in _IBAN_START.finditer(text):
        length = IBAN_LENGTHS.get(match.group()[:2].upper(), 0)
        compact, end = "", match.start()
        while end < len(text) and len(compact) < length:
            character = text[end]
            if not (character in " -" or (character.isascii() and character.isalnum())):
                break
            compact += character.upper() if character not in " -" else ""
            end += 1
        alone = not (end < len(text) and text[end].isascii() and text[end].isalnum())
        if length and alone and is_iban(compact):
            yield match.start(), end


def _resident_numbers(text: str) -> Iterator[Span]:
    yield from (match.span() for match in _RRN_STARRED.finditer(text))
    for match in _RRN.finditer(text):
        digits = match[1] + match[3]
        if not is_plausible_rrn(digits) or _named(text, match.start(), _CORPORATE_CONTEXT):
            continue
        # Without the hyphen thirteen digits can be anything: an order, a time stamp.
        if "-" in match[2] or has_rrn_check_digit(digits) or _named(
            text, match.start(), _RRN_CONTEXT
        ):  # fmt: skip
            yield match.span()


def _cards(text: str) -> Iterator[Span]:
    for match in _CARD_GROUPED.finditer(text):
        digits = _digits(match.group())
        sixteen = len(digits) == 16
        # A number called a card's is one, even if a typing error breaks its check digit.
        if is_card_number(digits) or (sixteen and _named(text, match.start(), _CARD_CONTEXT)):
            yield match.span()
    for match in _CARD_STRAIGHT.finditer(text):
        if is_card_number(match.group()):
            yield match.span()


def _phones(text: str) -> Iterator[Span]:
    yield from (match.span() for match in _PHONE_KR.finditer(text))
    for match in _PHONE_WORLD.finditer(text):
        digits = _digits(match.group())
        grouped = len(digits) + 1 < len(match.group())
        if (9 if grouped else 10) <= len(digits) <= 15:
            yield match.span()
    yield from (match.span() for match in _PHONE_NANP.finditer(text))
    for match in _PHONE_NAMED.finditer(text):
        if 9 <= len(_digits(match[1])) <= 12:
            yield match.span(1)


def _accounts(text: str) -> Iterator[Span]:
    yield from (match.span() for match in _ACCOUNT_FORMS.finditer(text))
    for match in _ACCOUNT_NAMED.finditer(text):
        digits = _digits(match[1])
        if MIN_ACCOUNT_DIGITS <= len(digits) <= MAX_ACCOUNT_DIGITS and not _starts_with_date(
            match[1]
        ):
            yield match.span(1)


def _starts_with_date(number: str) -> bool:
    match = _DATE_LIKE.match(number)
    return match is not None and is_date(int(match[1]), int(match[2]), int(match[3]))


def _named(text: str, start: int, context: re.Pattern[str]) -> bool:
    """Whether a word shortly before a number, on its line, says what the number is."""
    before = text[max(0, start - CONTEXT_CHARACTERS) : start]
    return context.search(before.rpartition("\n")[2]) is not None


def _digits(text: str) -> str:
    return "".join(character for character in text if character.isdigit())


# In order of certainty: check digits before forms, forms before context.
DETECTORS: Mapping[str, Detector] = {
    "email": _emails,
    "iban": _ibans,
    "rrn": _resident_numbers,
    "card": _cards,
    "phone": _phones,
    "account": _accounts,
}
ALL_KINDS = tuple(DETECTORS)
