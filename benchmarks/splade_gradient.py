"""Time and memory of one SPLADE training step: ours, plain autograd, CachedSpladeLoss.

Each way runs in a process of its own, so that its peak memory is its own; all three compute the
same loss (InfoNCE and FLOPS) on the same texts of the same masked language model with random
weights.

    python benchmarks/splade_gradient.py
    python benchmarks/splade_gradient.py --texts 64 --tokens 256 --device cuda
    python benchmarks/splade_gradient.py --texts 48 --output runs/gradient-48.json
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WAYS = ("autograd", "cached", "exact")
SEED = 5


def main() -> None:
    """Run every way in its own process and print ratios to CachedSpladeLoss."""
    arguments = _arguments()
    if arguments.way:
        print(json.dumps(_measure(arguments)))
        return
    print(
        f"{arguments.texts} texts of {arguments.tokens} tokens, vocabulary {arguments.vocabulary}, "
        f"{arguments.layers} layers of {arguments.width}, {arguments.device}"
    )
    with tempfile.TemporaryDirectory() as folder:
        _build(Path(folder), arguments)
        found = {way: _in_a_process(way, folder) for way in WAYS}
    base = found["cached"]
    print(f"{'way':10} {'s per step':>10} {'ratio':>6} {'peak MiB':>9} {'ratio':>6} {'loss':>10}")
    for way, entry in found.items():
        print(
            f"{way:10} {entry['seconds']:10.2f} {entry['seconds'] / base['seconds']:6.2f} "
            f"{entry['mib']:9.0f} {entry['mib'] / base['mib']:6.2f} {entry['loss']:10.5f}"
        )
    if arguments.output:
        kept = ("texts", "tokens", "vocabulary", "layers", "width", "device")
        values = {**{name: getattr(arguments, name) for name in kept}, "ways": found}
        arguments.output.write_text(json.dumps(values, indent=1) + "\n")


def _in_a_process(way: str, folder: str) -> dict[str, float]:
    command = [sys.executable, __file__, *sys.argv[1:], "--way", way, "--folder", folder]
    # The models are local; without this the libraries first wait for a hub that may not be there.
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def _measure(arguments: argparse.Namespace) -> dict[str, float]:
    import torch

    torch.set_num_threads(arguments.threads)
    step = _step(arguments)
    before = _memory(arguments.device)
    times = []
    for _ in range(arguments.rounds):
        started = time.perf_counter()
        loss = step()
        if arguments.device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return {"seconds": min(times), "mib": _memory(arguments.device) - before, "loss": loss}


def _memory(device: str) -> float:
    if device == "cuda":
        import torch

        return float(torch.cuda.max_memory_allocated()) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _step(arguments: argparse.Namespace) -> Callable[[], float]:
    from training.config import check_values
    from training.run_folder import RunFolder
    from training.sparse import splade_student
    from training.sparse.batches import Batches, RecordSet
    from training.sparse.config import SparseConfig
    from training.sparse.loop import Loop
    from training.sparse.max_match import full_match

    folder = Path(arguments.folder)
    cached = arguments.way == "cached"
    if arguments.way == "autograd":
        splade_student.max_match = full_match
    values = {
        "recipe": "splade",
        "model": str(folder / "base"),
        "splade": {
            "query_side": "bi-encoder",
            "gradient": "cached" if cached else "exact",
            "mini_batch_size": arguments.mini_batch,
        },
        "data": {"train": [{"path": str(folder / "corpus.jsonl")}], "corpus": [str(folder)]},
        "sparsity": {"documents": 0.003, "queries": 0.01, "ramp": 0.0},
        "training": {
            "batch_size": arguments.texts // 2,
            "negatives": 0,
            "steps": 1,
            "max_tokens": arguments.tokens,
        },
    }
    config = check_values(values, SparseConfig, source="benchmark")
    student = splade_student.build_splade(config, folder / "start", arguments.device)
    batches = Batches(
        [RecordSet("random", _records(arguments), 1.0)], arguments.texts // 2, 0, SEED
    )
    loop = Loop(config, student, batches, RunFolder(folder / "run"))
    # CachedSpladeLoss needs training mode; the networks have no dropout.
    student.module().train()
    batch = batches.batch(0)

    def step() -> float:
        student.module().zero_grad(set_to_none=True)
        loss, values = loop.loss(batch)
        loss.backward()
        return values["loss"]

    return step


def _records(arguments: argparse.Namespace) -> list[Any]:
    from training.data.records import TrainingRecord

    draw = random.Random(SEED)

    def text() -> str:
        words = draw.choices(range(arguments.vocabulary - 5), k=arguments.tokens - 2)
        return " ".join(f"w{word}" for word in words)

    return [TrainingRecord(text(), (text(),)) for _ in range(arguments.texts // 2)]


def _build(folder: Path, arguments: argparse.Namespace) -> None:
    """A BERT with random weights and a word for every entry of its vocabulary."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    names += [f"w{number}" for number in range(arguments.vocabulary - 5)]
    vocabulary = {name: number for number, name in enumerate(names)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    special = {f"{n.strip('[]').lower()}_token": n for n in names[:5]}
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=512, **special
    ).save_pretrained(folder / "base")
    torch.manual_seed(SEED)
    config = BertConfig(
        vocab_size=arguments.vocabulary,
        hidden_size=arguments.width,
        num_hidden_layers=arguments.layers,
        num_attention_heads=arguments.width // 32,
        intermediate_size=4 * arguments.width,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    network = BertForMaskedLM(config).eval()
    with torch.no_grad():
        # A trained SPLADE has few positive logits; random weights have half of them.
        network.get_output_embeddings().bias.fill_(arguments.bias)
    network.save_pretrained(folder / "base")
    (folder / "corpus.jsonl").write_text('{"_id": "0", "text": "w1 w2"}\n')


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=16, help="queries and documents of one step")
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--vocabulary", type=int, default=30522)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--bias", type=float, default=-1.2)
    parser.add_argument("--mini-batch", type=int, default=16, help="texts at a time, for cached")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
