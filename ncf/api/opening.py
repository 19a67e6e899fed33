"""Open an exported model."""

from ncf.api.bundles import Bundle
from ncf.api.options import Place, folder
from ncf.scoring.bundle import open_bundle as open_folder


def open_bundle(path: Place) -> Bundle:
    """Open a bundle; every digest is checked first.

    Parameters
    ----------
    path : str or Path
        Folder that :func:`ncf.export` made.

    Raises
    ------
    ArtifactError
        A file is missing, extra or damaged, or the schema is of another version.

    Examples
    --------
    >>> ncf.open_bundle("model_store/mine")
    Bundle('model_store/mine': gmf, 40 users, 30 items)
    """
    return Bundle(open_folder(folder(path, "bundle")))
