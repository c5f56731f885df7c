from __future__ import annotations

import io
import json
import tracemalloc
import zipfile

import numpy as np
import pytest

from kwsq import InputError, features, model
from tests.kwsq.conftest import contents


def test_saved_and_loaded_again_is_the_same(kws, tmp_path):
    model.save(tmp_path / "a.npz", [kws["float32"], kws["int8"]])
    model.save(tmp_path / "b.npz", [kws["float32"], kws["int8"]])
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert contents(tmp_path / "a.npz") == contents(model.KWS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "b.npz"]


def test_it_keeps_the_front_end(kws):
    for network in kws.values():
        assert (network.input_scale, network.input_zero_point) == (features.SCALE, features.ZERO_POINT)
    np.testing.assert_array_equal(kws["float32"].input_array(np.array([-128, 127], np.int8)), np.float32([-7.4, 5.35]))
    int8 = kws["int8"]
    assert int8.output_values(np.array([int8.output_zero_point], np.int8)) == 0


@pytest.fixture
def changed(tmp_path):
    """Write the shipped model with its description or its arrays changed by a function."""
    def write(change):
        with np.load(model.KWS) as archive:
            arrays = dict(archive)
        meta = json.loads(str(arrays["meta"]))
        change(meta, arrays)
        if "meta" in arrays:
            arrays["meta"] = np.array(json.dumps(meta))
        np.savez(tmp_path / "m.npz", **arrays)
        return tmp_path / "m.npz"
    return write


CONV = "int8/qconv2d_3x3_8"


@pytest.mark.parametrize(("change", "message"), [
    (lambda meta, arrays: meta.update(version=2), "version 2, expected thumbcycle-model version 1"),
    (lambda meta, arrays: meta.pop("version"), "not a whole model: 'version'"),
    (lambda meta, arrays: meta["front_end"].update(hop=400), "another front end: train it again \\(python -m kwsq.train\\)"),
    (lambda meta, arrays: arrays.pop("meta"), "no description"),
    (lambda meta, arrays: arrays.pop(f"{CONV}/weights"), "not a whole model: .*weights"),
    (lambda meta, arrays: arrays.update({f"{CONV}/extra": arrays["meta"]}), "not a whole model: .*extra"),
    (lambda meta, arrays: arrays.update({f"{CONV}/weights": arrays[f"{CONV}/weights"][:7]}), "bias is int32 \\(8,\\)"),
    (lambda meta, arrays: arrays.update({f"{CONV}/weights": arrays[f"{CONV}/weights"].astype(np.int16)}), "weights is int16"),
    (lambda meta, arrays: arrays.update({f"{CONV}/requantizer": np.zeros((2, 5), np.int32)}), "\\(1, 5\\) per tensor"),
    (lambda meta, arrays: meta["networks"]["int8"]["layers"][0].update(stride=[0, 1]), "at least 1"),
    (lambda meta, arrays: meta["networks"]["int8"]["layers"][0].update(kernel="conv3d_s8"), "not a whole model: 'conv3d_s8'"),
    (lambda meta, arrays: meta["networks"]["int8"]["layers"].pop(1), "but 'qconv2d_3x3_8' gives"),
    (lambda meta, arrays: meta["networks"].update(int8=[]), "not a whole model"),
])
def test_a_wrong_model_is_refused_in_one_line(changed, change, message):
    path = changed(change)
    with pytest.raises(InputError, match=message) as refused:
        model.load(path)
    assert str(refused.value).startswith(f"{path}: ") and "\n" not in str(refused.value)


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "m.npz"
    whole = model.KWS.read_bytes()
    for content in (b"", b"text", whole[:5000], whole[:3000] + bytes(500) + whole[3500:]):
        path.write_bytes(content)
        with pytest.raises(InputError, match="m.npz"):
            model.load(path)
    np.save(tmp_path / "array", np.zeros(3))
    with pytest.raises(InputError, match="not a model file"):
        model.load(tmp_path / "array.npy")
    with pytest.raises(InputError, match="No such file"):
        model.load(tmp_path / "none.npz")


def test_a_hostile_file_cannot_ask_for_memory(tmp_path):
    """A packed gigabyte, and a header that claims a terabyte: refused before anything of that size is made."""
    np.savez_compressed(tmp_path / "bomb.npz", meta=np.zeros(1 << 28, np.int8))
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|i1", "fortran_order": False, "shape": (1 << 40,)})
    with zipfile.ZipFile(tmp_path / "claim.npz", "w") as archive:
        archive.writestr("meta.npy", header.getvalue())
    tracemalloc.start()
    for name in ("bomb.npz", "claim.npz"):
        with pytest.raises(InputError, match=f"{name}: not a model file, or a damaged one"):
            model.load(tmp_path / name)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 24


def test_a_failed_write_leaves_nothing(kws, tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        model.save(tmp_path / "taken", [kws["int8"]])
    with pytest.raises(InputError, match="cannot be written: No such file"):
        model.save(tmp_path / "none" / "m.npz", [kws["int8"]])
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
