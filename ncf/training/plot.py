"""Draw a training's history: loss and validation figures by epoch."""

import io
import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ncf.extras import missing_extra
from ncf.training.matplotlib_import import import_matplotlib
from ncf.validation import Epoch, Validation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

logger = logging.getLogger(__name__)

_INCHES = (8.0, 5.2)
_DPI = 100
_MARKED_UP_TO = 40  # epochs; more markers would hide the line

History = Sequence[Epoch]


def try_to_draw(history: History, variant: str, best: Validation) -> bytes | None:
    """Draw a history as :func:`draw` does; on failure log a warning and return None.

    A failed picture must not end a training.
    """
    try:
        return draw(history, variant, best)
    except ModuleNotFoundError as error:
        missing = missing_extra(error, "a picture of the history") or error
        logger.info("the checkpoint has no picture: %s", missing)
        return None
    except Exception as error:  # noqa: BLE001 - the weights are kept whatever fails in drawing
        logger.warning("the history could not be drawn (%s): the checkpoint has no picture", error)
        return None


def draw(history: History, variant: str, best: Validation) -> bytes:
    """Draw loss, HR and NDCG by epoch.

    The same arguments give the same bytes: settings are Matplotlib's own, and there is no time.

    Parameters
    ----------
    history : sequence of Epoch
        Figures by epoch.
    variant : str
        Variant, for the title.
    best : Validation
        The best epoch, the length of the lists and the protocol.

    Returns
    -------
    bytes
        PNG image.
    """
    # Imported here because it takes half a second, which only a finished training needs.
    mpl = import_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    file = io.BytesIO()
    # A user's own matplotlibrc would give other bytes; its settings are restored afterwards.
    with mpl.rc_context():
        mpl.rcdefaults()
        figure = Figure(figsize=_INCHES, dpi=_DPI, layout="constrained")
        FigureCanvasAgg(figure)
        loss, validation = figure.subplots(2, 1, sharex=True)
        loss.set_title(f"{variant}: best epoch {best.best_epoch} of {history[-1].epoch}")
        _line(loss, [(row.epoch, row.loss) for row in history], "training loss")
        loss.set_ylabel("cross-entropy, nats")
        for name, values in (("HR", [r.hr for r in history]), ("NDCG", [r.ndcg for r in history])):
            points = zip((row.epoch for row in history), values, strict=True)
            _line(validation, points, f"{name}@{best.k} ({best.protocol})")
        validation.set(xlabel="epoch", ylabel="validation")
        validation.xaxis.get_major_locator().set_params(integer=True)
        for axes in (loss, validation):
            axes.axvline(best.best_epoch or 0, color="grey", linestyle=":", label="best epoch")
            axes.grid(alpha=0.3)
            axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
        figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _line(axes: "Axes", points: Iterable[tuple[int, float | None]], label: str) -> None:
    known = [(epoch, value) for epoch, value in points if value is not None]
    marker = "o" if len(known) <= _MARKED_UP_TO else None
    epochs, values = [epoch for epoch, _ in known], [value for _, value in known]
    axes.plot(epochs, values, marker=marker, markersize=4, label=label)
