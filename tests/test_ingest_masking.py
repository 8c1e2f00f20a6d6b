"""Masking: what must go, and what must stay."""

import string
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import IngestError
from ingest.masking import Masker, mask_text
from ingest.records import Document, Origin, Reject

# None of these numbers belongs to anyone: check digits fit, the rest is made up.
MASKED = [
    # Resident and foreigner registration numbers
    ("주민등록번호 900101-1234568", "주민등록번호 [RRN]"),
    ("900101-1234567입니다", "[RRN]입니다"),
    ("021231-3999999", "[RRN]"),
    ("외국인등록번호는 850505-5123456 입니다", "외국인등록번호는 [RRN] 입니다"),
    ("９００１０１－１２３４５６７", "[RRN]"),
    ("900101 - 1234567", "[RRN]"),
    ("주민번호 9001011234567", "주민번호 [RRN]"),
    ("resident registration number 900101 1234567", "resident registration number [RRN]"),
    ("주민번호: 900101-1******", "주민번호: [RRN]"),
    # Cards
    ("카드번호 4111-1111-1111-1111", "카드번호 [CARD]"),
    ("4111 1111 1111 1111", "[CARD]"),
    ("4111111111111111로 결제", "[CARD]로 결제"),
    ("5555-5555-5555-4444", "[CARD]"),
    ("Amex 3782 822463 10005", "Amex [CARD]"),
    ("378282246310005", "[CARD]"),
    ("카드 1234-5678-9012-3456 분실", "카드 [CARD] 분실"),
    ("card no. 9410 1234 5678 9012", "card no. [CARD]"),
    ("４１１１－１１１１－１１１１－１１１１", "[CARD]"),
    ("my card (4111-1111-1111-1111) was declined", "my card ([CARD]) was declined"),
    # Accounts
    ("신한 110-123-456789", "신한 [ACCOUNT]"),
    ("110-123-456789로 보내 주세요", "[ACCOUNT]로 보내 주세요"),
    ("1002-123-456789", "[ACCOUNT]"),
    ("국민은행 123456-01-123456", "국민은행 [ACCOUNT]"),
    ("123-456789-01234", "[ACCOUNT]"),
    ("301-1234-5678-91", "[ACCOUNT]"),
    ("123-456789-01-234", "[ACCOUNT]"),
    ("3333-01-1234567", "[ACCOUNT]"),
    ("1000-1234-5678", "[ACCOUNT]"),
    ("123-45-678901", "[ACCOUNT]"),
    ("계좌번호: 11012345678901", "계좌번호: [ACCOUNT]"),
    ("계좌 110 123 456789", "계좌 [ACCOUNT]"),
    ("우리은행 1002123456789 예금주", "우리은행 [ACCOUNT] 예금주"),
    ("account number 12345678", "account number [ACCOUNT]"),
    ("A/C No. 000123456789", "A/C No. [ACCOUNT]"),
    ("My account number is 9876543210.", "My account number is [ACCOUNT]."),
    # IBAN
    ("IBAN DE89 3704 0044 0532 0130 00", "IBAN [IBAN]"),
    ("GB82WEST12345698765432", "[IBAN]"),
    ("pay to de89370400440532013000, please", "pay to [IBAN], please"),
    # Phones
    ("010-1234-5678", "[PHONE]"),
    ("01012345678로 전화", "[PHONE]로 전화"),
    ("010 1234 5678", "[PHONE]"),
    ("010.1234.5678", "[PHONE]"),
    ("０１０－１２３４－５６７８", "[PHONE]"),
    ("010–1234–5678", "[PHONE]"),
    ("010-1234-5678,010-8765-4321", "[PHONE],[PHONE]"),
    ("016-123-4567", "[PHONE]"),
    ("02-123-4567", "[PHONE]"),
    ("02)1234-5678", "[PHONE]"),
    ("(031) 123-4567", "[PHONE]"),
    ("070-1234-5678", "[PHONE]"),
    ("0502-1234-5678", "[PHONE]"),
    ("전화번호 0212345678", "전화번호 [PHONE]"),
    ("+82 10-1234-5678", "[PHONE]"),
    ("+82-2-123-4567", "[PHONE]"),
    ("+821012345678", "[PHONE]"),
    ("+82 (0)10 1234 5678", "[PHONE]"),
    ("+1 (415) 555-2671", "[PHONE]"),
    ("+44 20 7946 0958", "[PHONE]"),
    ("call (415) 555-2671 now", "call [PHONE] now"),
    ("415-555-2671", "[PHONE]"),
    ("Phone: 020 7946 0958", "Phone: [PHONE]"),
    # E-mail
    ("hong.gildong@example.co.kr로 보내기", "[EMAIL]로 보내기"),
    ("Write to jane_doe+bank@mail.example.com.", "Write to [EMAIL]."),
    ("hong＠example．com", "[EMAIL]"),
    ("hong(at)example.com", "[EMAIL]"),
    ("hong [골뱅이] example.com", "[EMAIL]"),
    # Several at once
    ("홍길동 900101-1234567 / 010-1234-5678", "홍길동 [RRN] / [PHONE]"),
]

KEPT = [
    # Amounts and rates
    "1,234,567원을 이체했습니다",
    "한도는 10000000000원입니다",
    "계좌에서 4111111111111111원 출금",
    "계좌 잔액 1,000,000,000원",
    "이체 한도 5000000원",
    "$4,111,111,111,111,111",
    "$ 1,452.4 ; 44.1 ; 1,496.5",
    "USD 12345678901234",
    "4111111111111111 KRW",
    "연 3.75%에서 12.5%로",
    "-1234567.89",
    "월 50만원, 최대 3억원",
    # Dates and times
    "2024-01-15",
    "2024.01.15 ~ 2024.12.31",
    "20240115-20241231",
    "2024년 1월 15일 09:00-16:00",
    "계좌 개설일 2024-01-15 10:30",
    "계좌개설 20240115",
    "account opened 2024-01-15 10:30:00",
    "1588-1592년의 전쟁",
    "1700000000000 ms",
    # Law
    "제12조의3제2항제1호",
    "법률 제19700호, 2023. 9. 14.",
    "대법원 2020. 5. 14. 선고 2019다12345 판결",
    "헌재 2016헌바123-456",
    # Numbers of companies, which are public
    "고객센터 1588-1234",
    "대표번호 1544-0000",
    "사업자등록번호 123-45-67890",
    "법인등록번호 110111-1234567",
    "수신자 부담 080-123-4567",
    "1-800-555-0199",
    # Codes
    "product code 110-123-456789A",
    "AB-900101-1234567",
    "ISBN 978-89-1234-567-8",
    "8801234567893",
    "ISIN KR7005930003",
    "모델 SM-S901-1234-5678N",
    "order 1234567890123",
    "192.168.0.1",
    "version 3.6.0",
    "ISO 20022, BIS III",
    "911301-1999999",
    "851332-1234567",
    "900101-9234567",
    # Cards that are none
    "4111-1111-1111-1112",
    "0000 0000 0000 0000",
    # Things with an at sign
    "@bank_official 채널",
    "user@localhost",
    "3 @ 5000원",
    # Plain words
    "계좌번호를 입력하세요",
    "card number is required",
    "",
]


@pytest.mark.parametrize(("text", "expected"), MASKED)
def test_personal_data_is_masked(text: str, expected: str) -> None:
    assert mask_text(text).text == expected


@pytest.mark.parametrize("text", KEPT)
def test_other_numbers_stay(text: str) -> None:
    assert mask_text(text).text == text


def test_counts_are_by_kind() -> None:
    masked = mask_text("010-1234-5678, 02-123-4567, a@example.com")
    assert masked.counts == {"phone": 2, "email": 1}


def test_only_the_kinds_asked_for_are_masked() -> None:
    text = "010-1234-5678 a@example.com"
    assert mask_text(text, ["email"]).text == "010-1234-5678 [EMAIL]"
    assert mask_text(text, []).text == text


def test_unknown_kind_lists_what_is_allowed() -> None:
    with pytest.raises(IngestError, match=r"passport.*allowed: email, iban, rrn"):
        mask_text("x", ["passport"])


def test_masker_covers_title_text_and_metadata_but_not_the_id() -> None:
    masker = Masker()
    document = Document(
        id="010-1234-5678",
        title="010-1234-5678",
        text="a@example.com",
        metadata={"owner": {"phones": ["02-123-4567"]}, "amount": 4111111111111111},
    )
    masked = masker(document)
    assert masked.id == document.id
    assert (masked.title, masked.text) == ("[PHONE]", "[EMAIL]")
    assert masked.metadata == {"owner": {"phones": ["[PHONE]"]}, "amount": 4111111111111111}
    assert masker.counts == {"phone": 2, "email": 1}


def test_rejects_do_not_carry_personal_data_away() -> None:
    items: list[Document | Reject] = [
        Document("a", "010-1234-5678"),
        Reject(Origin("f", 1), "bad JSON", raw="010-1234-5678"),
    ]
    document, reject = Masker().cover_rejects(items)
    assert document is items[0]
    assert reject == Reject(Origin("f", 1), "bad JSON", raw="[PHONE]")


@given(st.integers(min_value=0, max_value=10**15))
def test_amounts_survive(amount: int) -> None:
    for text in (f"{amount:,}원", f"{amount}원입니다", f"${amount:,}", f"₩{amount}", f"{amount}%"):
        assert mask_text(text).text == text


@given(st.dates(date(1900, 1, 1), date(2099, 12, 31)))
def test_dates_survive(day: date) -> None:
    for form in ("%Y-%m-%d", "%Y.%m.%d", "%Y%m%d", "%d/%m/%Y", "%Y년 %m월 %d일", "%y%m%d"):
        assert (
            mask_text(f"만기 {day.strftime(form)} 까지").text == f"만기 {day.strftime(form)} 까지"
        )


@given(st.integers(1, 2000), st.integers(1, 99), st.integers(1, 99))
def test_statutes_survive(article: int, branch: int, paragraph: int) -> None:
    text = f"은행법 제{article}조의{branch} 제{paragraph}항"
    assert mask_text(text).text == text


@given(
    st.text(string.ascii_uppercase, min_size=1, max_size=4),
    st.lists(st.integers(0, 99_999_999), min_size=1, max_size=4),
)
def test_product_codes_survive(prefix: str, numbers: list[int]) -> None:
    code = "-".join([prefix, *map(str, numbers)])
    assert mask_text(f"상품 {code} 안내").text == f"상품 {code} 안내"


@given(st.text("0123456789-+() .,@원계좌card\n０１２", max_size=80))
def test_masking_twice_changes_nothing_more(text: str) -> None:
    once = mask_text(text).text
    again = mask_text(once)
    assert again.text == once


@given(st.from_regex(r"\A010-[0-9]{4}-[0-9]{4}\Z"), st.text("가나다 .,!?", max_size=20))
def test_a_mobile_number_never_survives(number: str, around: str) -> None:
    masked = mask_text(f"{around}{number}{around}")
    assert number not in masked.text
    assert masked.counts == {"phone": 1}


def test_long_hostile_text_is_masked_in_linear_time() -> None:
    for piece in ("1-", "1 ", "a.", "0", "+1", "(0", "DE12 "):
        mask_text(piece * 20_000 + "@")
