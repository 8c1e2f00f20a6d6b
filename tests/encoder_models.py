"""Tiny models of true architectures (BERT, ModernBERT, Qwen3), built at test time.

Plain functions that fill a folder; each has random weights from a fixed seed and the files a real
model of its kind has. Folders are built once per test session by :func:`model_folder`.
"""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

ENGLISH = (
    "the annual fee of a credit card is charged on the first of january",
    "a loan with a fixed interest rate is repaid in monthly instalments",
    "deposits are insured up to one hundred thousand euros per customer",
    "to open an account you need an identity document and proof of address",
    "the exchange rate of the day applies to payments in foreign currency",
)
KOREAN = (
    "신용카드 연회비는 매년 일월 일일에 청구됩니다",
    "고정금리 대출은 매월 분할하여 상환합니다",
    "예금은 고객 한 명당 오천만 원까지 보호됩니다",
    "계좌를 개설하려면 신분증과 주소 증명이 필요합니다",
    "외화 결제에는 당일 환율이 적용됩니다 유동성 위험 관리",
)
VOCABULARY_SIZE = 320
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WIDTH = 32
PROMPTS = {"query": "Instruct: find passages\nQuery:", "document": ""}


def write_tokenizer(
    folder: Path,
    texts: Sequence[str] = ENGLISH,
    *,
    padding_side: str = "right",
    max_tokens: int = 64,
    lowercase: bool = True,
    end_token: str | None = None,
) -> None:
    """A WordPiece tokenizer that knows the words of ``texts``; ``end_token``: Qwen's way of ending.

    Its vocabulary is written down, not trained: a trainer breaks ties by the order of a hash table,
    so each process would get other pieces.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    vocabulary = {piece: number for number, piece in enumerate(_pieces(texts))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(list(SPECIAL))
    template = "$A [SEP]" if end_token else "[CLS] $A [SEP]"
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template,
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )
    # A state left over from training, as published models often carry: it must not take effect.
    tokenizer.enable_truncation(max_length=8)
    tokenizer.enable_padding(length=8)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_tokens,
        "padding_side": padding_side,
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    }
    write_json(folder / "tokenizer_config.json", settings)


def _pieces(texts: Sequence[str]) -> list[str]:
    """Special tokens, every character at the start and inside of a word, every word."""
    words = sorted({word for text in texts for word in text.split()})
    characters = sorted({character for word in words for character in word})
    inside = [f"##{character}" for character in characters]
    return list(dict.fromkeys([*SPECIAL, *characters, *inside, *words]))


def dense_bert(folder: Path, pooling: str = "mean") -> None:
    """BERT with Sentence Transformers files in their old form."""
    write_tokenizer(folder)
    _save_bert(folder, masked=False)
    flags = {
        "word_embedding_dimension": WIDTH,
        "pooling_mode_cls_token": pooling == "cls",
        "pooling_mode_mean_tokens": pooling == "mean",
        "pooling_mode_max_tokens": False,
    }
    write_dense_modules(folder, flags, max_tokens=48)


def dense_modernbert(folder: Path) -> None:
    """ModernBERT, CLS pooling, Sentence Transformers files in their new form."""
    import torch
    from transformers import ModernBertConfig, ModernBertModel

    write_tokenizer(folder)
    torch.manual_seed(2)
    config = ModernBertConfig(**{**_modernbert_sizes(), "num_hidden_layers": 1})
    ModernBertModel(config).eval().save_pretrained(folder)
    write_dense_modules(folder, {"embedding_dimension": WIDTH, "pooling_mode": "cls"})


def dense_qwen3(folder: Path) -> None:
    """Qwen3, last-token pooling, left padding, a query prompt."""
    import torch
    from transformers import Qwen3Config, Qwen3Model

    write_tokenizer(folder, padding_side="left", end_token="[SEP]")
    torch.manual_seed(3)
    config = Qwen3Config(
        vocab_size=VOCABULARY_SIZE,
        hidden_size=WIDTH,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=128,
        initializer_range=0.2,
        pad_token_id=0,
    )
    Qwen3Model(config).eval().save_pretrained(folder)
    write_dense_modules(folder, {"embedding_dimension": WIDTH, "pooling_mode": "lasttoken"})
    write_json(
        folder / "config_sentence_transformers.json",
        {"prompts": PROMPTS, "default_prompt_name": None, "similarity_fn_name": "cosine"},
    )


def sparse_modernbert(folder: Path) -> None:
    """ModernBERT with its masked-language head: a bi-encoder with the double logarithm."""
    import torch
    from transformers import ModernBertConfig, ModernBertForMaskedLM

    write_tokenizer(folder)
    torch.manual_seed(4)
    # More rows than the tokenizer has entries, as ModernBERT really has.
    config = ModernBertConfig(**{**_modernbert_sizes(), "vocab_size": VOCABULARY_SIZE + 16})
    ModernBertForMaskedLM(config).eval().save_pretrained(folder)
    write_sparse_modules(folder, activation="log1p_relu")


def sparse_bert_inference_free(folder: Path) -> None:
    """BERT with its masked-language head and an ``idf.json``: no network at the query side."""
    write_tokenizer(folder)
    _save_bert(folder, masked=True)
    write_sparse_modules(folder, activation="relu")
    write_json(folder / "idf.json", idf_table(folder))


def idf_table(folder: Path) -> dict[str, float]:
    """A weight for every entry of a folder's vocabulary, special tokens included."""
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    return {token: 1.0 + number / 100 for token, number in vocabulary.items()}


def write_dense_modules(
    folder: Path, pooling: dict[str, Any], *, max_tokens: int | None = None
) -> None:
    """``modules.json`` and what it names, for a dense model."""
    write_json(folder / "1_Pooling" / "config.json", pooling)
    write_modules(folder, [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_N")])
    write_json(folder / "2_N" / "config.json", {})
    settings = {"max_seq_length": max_tokens} if max_tokens else {}
    write_json(folder / "sentence_bert_config.json", settings)


def write_sparse_modules(folder: Path, *, activation: str) -> None:
    """``modules.json`` and what it names, for a sparse model."""
    config = {"pooling_strategy": "max", "activation_function": activation}
    write_json(folder / "1_SpladePooling" / "config.json", config)
    write_json(folder / "sentence_bert_config.json", {"transformer_task": "fill-mask"})
    write_json(folder / "config_sentence_transformers.json", {"model_type": "SparseEncoder"})
    write_modules(folder, [("Transformer", ""), ("SpladePooling", "1_SpladePooling")])


def write_modules(folder: Path, modules: Sequence[tuple[str, str]]) -> None:
    """``modules.json``."""
    places = {"SpladePooling": "sparse_encoder.models"}
    entries = [
        {
            "idx": number,
            "name": str(number),
            "path": path,
            "type": f"sentence_transformers.{places.get(name, 'models')}.{name}",
        }
        for number, (name, path) in enumerate(modules)
    ]
    write_json(folder / "modules.json", entries)


def write_json(path: Path, value: Any) -> None:
    """A JSON file, its folder included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


DENSE_MODELS: dict[str, Callable[[Path], None]] = {
    "bert-mean": dense_bert,
    "modernbert-cls": dense_modernbert,
    "qwen3-lasttoken": dense_qwen3,
}
SPARSE_MODELS: dict[str, Callable[[Path], None]] = {
    "modernbert-splade": sparse_modernbert,
    "bert-inference-free": sparse_bert_inference_free,
}


def model_folder(name: str, root: Path) -> Path:
    """The folder of a model, built on the first call; ``root`` is the session's folder."""
    folder = root / "encoder-models" / name
    if not folder.is_dir():
        {**DENSE_MODELS, **SPARSE_MODELS}[name](folder)
    return folder


def _save_bert(folder: Path, *, masked: bool) -> None:
    import torch
    from transformers import BertConfig, BertForMaskedLM, BertModel

    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=VOCABULARY_SIZE,
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.2,
    )
    model = BertForMaskedLM(config) if masked else BertModel(config)
    model.eval().save_pretrained(folder)


def _modernbert_sizes() -> dict[str, Any]:
    return {
        "vocab_size": VOCABULARY_SIZE,
        "hidden_size": WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "max_position_embeddings": 128,
        "initializer_range": 0.2,
        "pad_token_id": 0,
        "cls_token_id": 2,
        "sep_token_id": 3,
        "bos_token_id": 2,
        "eos_token_id": 3,
        "global_attn_every_n_layers": 2,
    }
