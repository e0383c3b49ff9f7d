"""What MLflow is told of a training: its knobs, the loss of each step, validation of each epoch, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

from ignite.engine import Engine, Events
from monai.handlers import MLFlowHandler
from pydantic import AfterValidator
from torch import Tensor

EXPERIMENT = "labelmine"
SQLITE = "sqlite:///"
#: Schemes of stores that are no server of one's own.
_FOLDERS = ("", "file")


def usable_tracking(uri: str | None) -> str | None:
    """Return where MLflow keeps runs, as it was given.

    Raises:
        ValueError: A folder, which MLflow 3 refuses, or no MLflow is installed.
    """
    if uri is None:
        return None
    scheme, _, place = uri.rpartition("://")
    if scheme in _FOLDERS:
        folder = place or "mlruns"
        raise ValueError(f"expected a server (http://...) or {SQLITE}{folder}/mlflow.db, as MLflow 3 takes no folder")
    if find_spec("mlflow") is None:
        raise ValueError('MLflow is not installed: pip install "labelmine[mlflow]"')
    return uri


TrackingUri = Annotated[str | None, AfterValidator(usable_tracking)]


class Tracking(MLFlowHandler):  # type: ignore[misc]  # MONAI is untyped
    """Tell MLflow of a training, as one run of the experiment ``labelmine``.

    A training that is resumed goes on in its run; one that was finished already begins none. Attach after what
    validates, and before what raises errors again.

    Args:
        uri: Server, or ``sqlite:///FILE``.
        name: Of the run: a training with the same name that did not end is taken up.
        evaluator: Its ``state.metrics`` are told after each epoch.
        knobs: Those of the workflow. Of paths only the last part is told.
    """

    def __init__(self, uri: str, name: str, evaluator: Engine, knobs: Mapping[str, Any]) -> None:
        """Tell nothing yet; the folder of a database is made."""
        if uri.startswith(SQLITE):
            Path(uri.removeprefix(SQLITE)).parent.mkdir(parents=True, exist_ok=True)
        super().__init__(
            tracking_uri=uri,
            experiment_name=EXPERIMENT,
            run_name=name,
            tag_name="train_loss",
            output_transform=_loss,
            epoch_logger=self._tell_epoch,
        )
        self.evaluator = evaluator
        self.knobs = {key: _told(value) for key, value in knobs.items()}

    def attach(self, engine: Engine) -> None:
        """Tell of ``engine``'s training."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.iteration_completed)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.epoch_completed)
        engine.add_event_handler(Events.COMPLETED, self.close)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)

    def _begin(self, engine: Engine) -> None:
        if self.cur_run is not None:
            return
        self.start(engine)
        untold = dict(self.knobs)
        self._delete_exist_param_in_dict(untold)  # of a run that is taken up: MLflow lets nothing be told otherwise
        self._log_params(untold)

    def _tell_epoch(self, engine: Engine) -> None:
        self._log_metrics(dict(self.evaluator.state.metrics), step=engine.state.epoch)

    def _fail(self, engine: Engine, error: BaseException) -> None:
        """Say how it ended; what a person or the machine stopped is not taken for a failure, as it may go on."""
        if self.cur_run is not None:
            ended = "FAILED" if isinstance(error, Exception) else "KILLED"
            self.client.set_terminated(self.cur_run.info.run_id, ended)


def _loss(output: Mapping[str, Tensor]) -> float:
    return output["loss"].item()


def _told(value: Any) -> Any:
    """Return a knob's value without the folders that a path names."""
    return Path(value).name if isinstance(value, str) and "/" in value and "://" not in value else value
