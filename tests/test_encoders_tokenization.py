import json
from pathlib import Path

import pytest
from encoder_models import write_tokenizer

from encoders.errors import EncoderError
from encoders.tokenization import TextTokenizer, read_tokenizer


@pytest.fixture(scope="module")
def serialized(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    return read_tokenizer(folder)


def test_truncation_and_padding_left_in_the_file_have_no_effect(serialized: str) -> None:
    assert json.loads(serialized)["truncation"]["max_length"] == 8
    [ids] = TextTokenizer(serialized, max_tokens=30).token_ids(["fee " * 100])
    assert len(ids) == 30
    assert len(TextTokenizer(serialized, max_tokens=30).token_ids(["fee"])[0]) == 3


def test_truncation_keeps_the_special_tokens(serialized: str) -> None:
    tokenizer = TextTokenizer(serialized, max_tokens=5)
    [ids] = tokenizer.token_ids(["fee " * 100])
    assert tokenizer.tokens([ids[0], ids[-1]]) == ["[CLS]", "[SEP]"]


def test_counting_does_not_truncate(serialized: str) -> None:
    tokenizer = TextTokenizer(serialized, max_tokens=5)
    assert tokenizer.count(["fee " * 100, ""]) == [102, 2]


@pytest.mark.parametrize(
    ("side", "mask"),
    [("right", [[1, 1, 1], [1, 0, 0]]), ("left", [[1, 1, 1], [0, 0, 1]])],
)
def test_padding_side(serialized: str, side: str, mask: list[list[int]]) -> None:
    tokenizer = TextTokenizer(serialized, 10, side)  # type: ignore[arg-type]
    batch = tokenizer.pad([[7, 8, 9], [6]])
    assert batch.mask.tolist() == mask
    assert batch.ids[batch.mask == 1].tolist() == [7, 8, 9, 6]
    assert set(batch.ids[batch.mask == 0].tolist()) == {tokenizer.pad_id}


def test_an_empty_row_keeps_one_token_to_attend_to(serialized: str) -> None:
    batch = TextTokenizer(serialized, 10).pad([[]])
    assert batch.ids.shape == (1, 2)
    assert batch.mask.sum() == 1


def test_lower_casing_comes_first(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, lowercase=False)
    serialized = read_tokenizer(tmp_path)
    upper, lower = TextTokenizer(serialized, 20, lowercase=True).token_ids(["FEE", "fee"])
    assert upper == lower
    upper, lower = TextTokenizer(serialized, 20).token_ids(["FEE", "fee"])
    assert upper != lower


def test_portable_file_says_what_this_tokenizer_does(serialized: str) -> None:
    written = json.loads(TextTokenizer(serialized, 30, "left").portable())
    assert written["truncation"]["max_length"] == 30
    assert written["padding"]["direction"] == "Left"


def test_an_id_beyond_the_vocabulary_is_an_error(serialized: str) -> None:
    with pytest.raises(EncoderError, match="999999 is not in the vocabulary"):
        TextTokenizer(serialized, 30).tokens([999_999])


def test_a_folder_without_a_tokenizer_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"no tokenizer\.json"):
        read_tokenizer(tmp_path)
