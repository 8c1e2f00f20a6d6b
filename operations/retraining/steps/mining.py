"""Mine: negatives that look right and are not, from the index or from a corpus."""

import tempfile
from pathlib import Path

from encoders.lexical import NAME as LEXICAL
from encoders.registry import load_dense
from operations.retraining.context import Context
from operations.retraining.errors import RetrainingError
from operations.retraining.job import MineSettings
from operations.retraining.machine import Done
from training.data.mining.finders import CorpusFinder, Finder, IndexFinder, open_corpus
from training.data.mining.job import Miner, mine_file
from training.data.mining.opening import open_leg
from training.data.mining.selection import Selection
from training.data.preparation import TRAIN
from training.data.progress_log import ProgressLog
from training.data.sources import DataSource

MINED = "mined.jsonl"


def mine_step(context: Context, folder: Path) -> Done:
    """Give every record hard negatives; a file that is there is gone on with.

    Raises:
        SearchBackendError: The index cannot be searched.
        EncoderError: The model cannot be loaded.
    """
    settings = context.job.mine
    if settings is None:
        return Done({}, skipped="the job has no table [mine]")
    records = DataSource(context.step_folder("prepare") / TRAIN)
    log = ProgressLog(folder / MINED, settings.model_dump(mode="json"))
    with tempfile.TemporaryDirectory(prefix=".vectors-", dir=folder) as place:
        miner = Miner(_finder(context, settings, Path(place)), _selection(settings), keep_own=True)
        mined = mine_file(records.records(), miner, log)
    values = mined.as_dict()
    summary = f"{values['negatives']:,} negatives, {values['per_record']:.1f} per record"
    return Done(values, (MINED,), summary)


def training_records(context: Context) -> Path:
    """The file that is trained on."""
    mined = context.step_folder("mine") / MINED
    return mined if context.job.mine else context.step_folder("prepare") / TRAIN


def _finder(context: Context, settings: MineSettings, place: Path) -> Finder:
    if settings.corpus is not None:
        model = settings.model or _production_model(context)
        return CorpusFinder(load_dense(model, context.load), open_corpus(settings.corpus), place)
    searcher, fusion = open_leg(
        context.url, str(context.job.index), settings.leg, context.load, dense=settings.model
    )
    return IndexFinder(searcher, settings.leg, fusion)


def _production_model(context: Context) -> str:
    models = context.result("collect")["production"]["models"]
    if "dense" not in models or models["dense"] == LEXICAL:
        msg = 'mine: production has no dense model to search the corpus with; name one: model = "…"'
        raise RetrainingError(msg)
    return str(models["dense"])


def _selection(settings: MineSettings) -> Selection:
    names = ("from_rank", "to_rank", "margin", "negatives", "seed")
    return Selection(**{name: getattr(settings, name) for name in names})
