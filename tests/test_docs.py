"""The documentation: every command stands in it, and every command in it works.

Commands are taken from fenced blocks marked `console`: lines that start with `$ tandem`. They run
in the order of the pages, in a folder with the files they mention, with an engine of their own.
"""

import json
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from forked_commands import Commands

from opensearch.cli.root import main
from training.sample_corpus import sample_folder

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
# Started by one page, of no use to the next.
EXTRA_ENGINES = ("cluster", "old")
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")


def documented() -> list[tuple[str, str]]:
    """Page and command line of every command in the documentation, each once."""
    found: dict[str, str] = {}
    for page in PAGES:
        for block in BLOCK.findall(page.read_text(encoding="utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                if line.startswith("$ tandem "):
                    found.setdefault(line[2:].partition("   #")[0].strip(), page.name)
    return [(page, line) for line, page in found.items()]


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Every command that is not a group."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield " ".join((*path, name))


@pytest.mark.parametrize("command", sorted(leaves(main)))
def test_every_command_is_documented(command: str) -> None:
    assert any(line.startswith(f"tandem {command}") for _, line in documented())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_name_no_place_of_their_own(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert str(ROOT) not in text
    assert str(Path.home()) not in text


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Commands, Path]]:
    """Commands in a folder with the files the documentation mentions, and their engines' state."""
    from opensearch.local.engine import stop_engine

    folder = tmp_path_factory.mktemp("docs")
    write_files(folder)
    # Not below pytest's own folder: another run of pytest takes the rights of others from that,
    # and the node may run as another user.
    state = Path(tempfile.mkdtemp(prefix="tandem-docs-"))
    state.chmod(0o755)
    hidden = ("TANDEM_OPENSEARCH_URL", "TANDEM_CONFIG")
    environment = {k: v for k, v in os.environ.items() if k not in hidden}
    environment |= {"TANDEM_STATE": str(state), "HF_HUB_OFFLINE": "1", "COLUMNS": "100"}
    commands = Commands(folder, environment)
    try:
        yield commands, state
    finally:
        commands.close()
        for name in ("default", *EXTRA_ENGINES):
            stop_engine(name, state_root=state)
        shutil.rmtree(state)


_SPARSE_RUN = """
output = "runs/sparse"
[data]
train = [{ path = "pairs.jsonl" }]
corpus = ["my-set"]
dev = [{ path = "my-set", split = "dev" }]
[head]
words = "corpus"
expansion_rank = 5
[training]
steps = 2
batch_size = 2
[gates]
min_active = 1
"""


_STATIC_RUN = """
output = "runs/static"
[data]
train = [{ path = "pairs.jsonl" }]
corpus = ["my-set"]
dev = [{ path = "my-set", split = "dev" }]
[model]
width = 8
[model.dense]
vocabulary = 100
[model.sparse]
vocabulary = 200
[training]
steps = 2
batch_size = 2
"""


def first_toml(page: str) -> str:
    """The first TOML file that a page shows."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return text.partition("```toml\n")[2].partition("```")[0]


_ABLATION = """
kind = "static"
base = "static.toml"
output = "runs/grid"
[grid]
records = [0.5, 1.0]
training.steps = [1, 2]
"""


def write_files(folder: Path) -> None:
    """What the commands read."""
    records = [
        {"_id": "fee", "title": "Transfer fees", "text": "A transfer abroad costs 25,000 won."},
        {"_id": "card", "title": "Lost card", "text": "Report a lost card in the app at once."},
        {"_id": "code", "title": "E-4012", "text": "Error E-4012: the daily limit is used up."},
    ]
    lines = "\n".join(json.dumps(record) for record in records) + "\n"
    (folder / "docs.jsonl").write_text(lines, encoding="utf-8")
    (folder / "export.csv").write_text("key,body\na,first text\nb,second text\n", encoding="utf-8")
    (folder / "texts.txt").write_text("refund of the annual fee\n", encoding="utf-8")
    handbook = folder / "handbook"
    handbook.mkdir()
    (handbook / "cards.md").write_text("# Cards\n\nLost cards are replaced.\n", encoding="utf-8")
    shutil.copytree(sample_folder(), folder / "sample", ignore=shutil.ignore_patterns("*.py*"))
    judged = folder / "my-set"
    (judged / "qrels").mkdir(parents=True)
    (judged / "corpus.jsonl").write_text(lines, encoding="utf-8")
    queries = [{"_id": "q1", "text": "send money overseas"}, {"_id": "q2", "text": "stolen card"}]
    (judged / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)), encoding="utf-8")
    qrels = "query-id\tcorpus-id\tscore\nq1\tfee\t1\nq2\tcard\t1\n"
    (judged / "qrels" / "dev.tsv").write_text(qrels, encoding="utf-8")
    questions = [
        {"query": "what does it cost to pay abroad", "pos": [records[0]["text"]]},
        {"query": "my card is gone", "pos": [records[1]["text"]]},
        {"query": "why was my payment refused", "pos": [records[2]["text"]]},
        {"query": "how high is my limit today", "pos": [records[2]["text"]]},
    ]
    text = "\n".join(map(json.dumps, questions)) + "\n"
    (folder / "questions.jsonl").write_text(text, encoding="utf-8")
    glossary = (
        "term,synonyms,domain\nbank card,payment card|plastic,cards\n"
        "bank account,deposit,accounts\n"
        "card fee,card charge,cards\nbank transfer,remittance,accounts\n"
    )
    (folder / "glossary.csv").write_text(glossary, encoding="utf-8")
    template = 'title = "{name}"\ntext = ["{name} in {place.country}"]\n'
    (folder / "template.toml").write_text(template, encoding="utf-8")
    fusion = '[search.docs-rrf.fusion]\nmethod = "rrf"\n'
    (folder / "fusion.toml").write_text(fusion, encoding="utf-8")
    pairs = [
        {"query": "money abroad", "pos": ["A transfer abroad costs a fee."], "neg": ["Lost card."]},
        {
            "query": "my card was taken",
            "pos": ["Report a lost card in the app."],
            "neg": ["Daily limit."],
        },
    ]
    (folder / "pairs.jsonl").write_text("\n".join(map(json.dumps, pairs)), encoding="utf-8")
    (folder / "sparse.toml").write_text(_SPARSE_RUN, encoding="utf-8")
    (folder / "static.toml").write_text(_STATIC_RUN, encoding="utf-8")
    (folder / "grid.toml").write_text(_ABLATION, encoding="utf-8")
    (folder / "retrain.toml").write_text(first_toml("retraining.md"), encoding="utf-8")
    write_clicks(folder)
    record = {"_id": "r1", "name": "Steel", "place": {"country": "Korea"}}
    (folder / "records.jsonl").write_text(json.dumps(record) + "\n", encoding="utf-8")


def write_clicks(folder: Path) -> None:
    """A log of half a day ago: two queries of eight clients; and the salt that hides them."""
    (folder / "salt.txt").write_text("a salt for the documentation", encoding="utf-8")
    start = datetime.now(UTC) - timedelta(hours=12)
    lines: list[dict[str, object]] = []
    for number in range(16):
        who = {"query_id": f"asked-{number}", "client_id": f"client {number // 2}"}
        moment = {"timestamp": (start + timedelta(minutes=number)).isoformat()}
        query = ("lost card", "send money overseas")[number % 2]
        shown = (["card", "fee"], ["card", "fee", "code"])[number % 2]
        asked = {"user_query": query, "query_response_hit_ids": shown}
        attributes = {"index": "docs", "scores": [1.0, 0.5]}
        lines.append({**who, **moment, **asked, "query_attributes": attributes})
        clicked = {"object": {"object_id": shown[number % 2]}}
        lines.append({**who, **moment, "action_name": "click", "event_attributes": clicked})
    text = "\n".join(map(json.dumps, lines)) + "\n"
    (folder / "clicks.jsonl").write_text(text, encoding="utf-8")


@pytest.mark.node
def test_every_documented_command_runs(sandbox: tuple[Commands, Path]) -> None:
    from opensearch.local.engine import stop_engine

    commands, state = sandbox
    lines = documented()
    assert len(lines) > 10
    # The engine is stopped last, whatever page says so.
    ordered = sorted(lines, key=lambda pair: pair[1].startswith("tandem engine stop"))
    for (page, line), (following, _) in zip(ordered, [*ordered[1:], ("", "")], strict=True):
        done = commands.run(shlex.split(line)[1:])
        assert done.returncode == 0, f"{page}: {line}\n{done.stdout}\n{done.stderr}"
        for name in EXTRA_ENGINES if following != page else ():
            stop_engine(name, state_root=state)
