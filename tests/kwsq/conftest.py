from __future__ import annotations

import numpy as np
import pytest

from kwsq import model


def contents(path):
    """Name -> (dtype, shape, bytes) of every array in a model file: what does not depend on the Python that zipped it."""
    with np.load(path) as archive:
        return {name: (archive[name].dtype, archive[name].shape, archive[name].tobytes()) for name in archive.files}


@pytest.fixture(scope="session")
def kws():
    """The shipped networks, by dtype."""
    return model.load()
