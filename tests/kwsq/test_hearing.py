"""What the shipped model hears, by the int8 reference (that the machine code answers the same is shown elsewhere)."""

from __future__ import annotations

import numpy as np
import pytest

from kwsq import dataset, features, kws, reference
from tests.kwsq.recordings import SPOKEN


def test_it_is_trained_and_hears_eight_of_ten_words_it_never_heard(kws_int8):
    assert kws_int8.trained and kws_int8.labels == kws.LABELS
    inputs = np.stack([features.load_input(word)[0] for word in kws.LABELS])
    heard = [kws.LABELS[at] for at in reference.run(kws_int8, inputs)[-1].argmax(axis=1)]
    assert sum(said == word for said, word in zip(kws.LABELS, heard, strict=True)) >= 8, heard


@pytest.mark.skipif(not SPOKEN.is_dir(), reason=f"no {SPOKEN}: recordings are only beside a developer's checkout")
def test_it_hears_what_it_was_trained_on(kws_int8):
    """200 clips drawn with a seed. A floor, and no accuracy: it was fitted to these very clips."""
    listed = dataset.listing(SPOKEN)
    drawn = np.random.RandomState(0).permutation(len(listed.paths))[:200]
    inputs = np.stack([features.load_input(listed.paths[at])[0] for at in drawn])
    right = reference.run(kws_int8, inputs)[-1].argmax(axis=1) == np.array(listed.labels)[drawn]
    assert right.mean() > 0.8


@pytest.fixture
def kws_int8(kws):
    return kws["int8"]
