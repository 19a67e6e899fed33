"""A training's history as a picture: loss and validation figures by epoch."""

import io
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ncf.extras import missing_extra
from ncf.training.matplotlib_import import import_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes

logger = logging.getLogger(__name__)

_INCHES = (8.0, 5.2)
_DPI = 100
_MARKED_UP_TO = 40  # epochs; more markers than that hide the line

History = Sequence[dict[str, Any]]


def try_to_draw(history: History, variant: str, best_epoch: int, k: int) -> bytes | None:
    """Draw a history as :func:`draw` does; None, and a warning, where that cannot be done.

    A picture is never worth a training.
    """
    try:
        return draw(history, variant, best_epoch, k)
    except ModuleNotFoundError as error:
        missing = missing_extra(error, "a picture of the history") or error
        logger.info("the checkpoint has no picture: %s", missing)
        return None
    except Exception as error:  # noqa: BLE001 - whatever fails in there, the weights are kept
        logger.warning("the history could not be drawn (%s): the checkpoint has no picture", error)
        return None


def draw(history: History, variant: str, best_epoch: int, k: int) -> bytes:
    """Draw loss, HR and NDCG by epoch.

    The same arguments give the same bytes with the same Matplotlib: fonts and settings are its
    own, whatever the machine has, and the file holds neither time nor version.

    Parameters
    ----------
    history : sequence of dict
        A row an epoch: ``epoch`` (from 1), ``loss`` (mean binary cross-entropy, nats; None where
        nothing was trained), and validation ``hr`` and ``ndcg`` by the sampled protocol.
    variant : str
        For the title.
    best_epoch : int
        Epoch that the checkpoint holds, from 1.
    k : int
        Length of the lists of ``hr`` and ``ndcg``.

    Returns
    -------
    bytes
        A PNG.
    """
    # Here, and not above: half a second that only a finished training should pay.
    mpl = import_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    file = io.BytesIO()
    # A user's own matplotlibrc would give other bytes; what stood before is put back.
    with mpl.rc_context():
        mpl.rcdefaults()
        figure = Figure(figsize=_INCHES, dpi=_DPI, layout="constrained")
        FigureCanvasAgg(figure)
        loss, validation = figure.subplots(2, 1, sharex=True)
        loss.set_title(f"{variant}: best epoch {best_epoch} of {history[-1]['epoch']}")
        _line(loss, history, "loss", "training loss")
        loss.set_ylabel("cross-entropy, nats")
        _line(validation, history, "hr", f"HR@{k} (sampled)")
        _line(validation, history, "ndcg", f"NDCG@{k} (sampled)")
        validation.set(xlabel="epoch", ylabel="validation")
        validation.xaxis.get_major_locator().set_params(integer=True)
        for axes in (loss, validation):
            axes.axvline(best_epoch, color="grey", linestyle=":", label="best epoch")
            axes.grid(alpha=0.3)
            axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
        figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _line(axes: "Axes", history: History, name: str, label: str) -> None:
    points = [(row["epoch"], row[name]) for row in history if row[name] is not None]
    marker = "o" if len(points) <= _MARKED_UP_TO else None
    epochs, values = [epoch for epoch, _ in points], [value for _, value in points]
    axes.plot(epochs, values, marker=marker, markersize=4, label=label)
