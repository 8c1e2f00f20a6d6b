"""The errors whose message says what to mend: shown as they are, without a traceback."""

from encoders.errors import EncoderError
from ingest.errors import IngestError
from opensearch.errors import SearchBackendError
from operations.errors import OperationsError
from serving.errors import ServingError
from training.errors import TrainingError

OUR_ERRORS = (
    EncoderError,
    IngestError,
    OperationsError,
    SearchBackendError,
    ServingError,
    TrainingError,
)
