"""`maskrcnn serve`: what it asks of the server, and what it says."""

import socket
import sys
from pathlib import Path

import pytest

from keras_maskrcnn.cli import main, serve


@pytest.fixture
def served(monkeypatch):
    """Calls that would have served a model."""
    from keras_maskrcnn.serving import model, server

    calls = []
    monkeypatch.setattr(model, "ServedModel", lambda folder, name: (folder, name))
    monkeypatch.setattr(server, "serve", lambda *args: calls.append(args))
    return calls


def make_export(folder, *versions):
    for version in versions:
        (folder / version).mkdir(parents=True)
        (folder / version / "saved_model.pb").touch()


def test_help(capsys):
    with pytest.raises(SystemExit) as end:
        main(["serve", "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: maskrcnn serve")
    assert max(len(line) for line in text.splitlines()) <= 100


def test_highest_whole_version(tmp_path, served):
    make_export(tmp_path / "photos", "2", "10")
    (tmp_path / "photos" / "11").mkdir()  # Nothing in it yet.
    make_export(tmp_path / "photos", ".export-x/model")
    assert main(["serve", str(tmp_path / "photos"), "--port", "0"]) == 0
    assert served[0][0] == (tmp_path / "photos" / "10", "photos")
    assert main(["serve", str(tmp_path / "photos" / "2"), "--port", "0"]) == 0
    assert served[1][0] == (tmp_path / "photos" / "2", "photos")


def test_options(tmp_path, served):
    make_export(tmp_path / "photos", "1")
    words = ["serve", str(tmp_path / "photos"), "--port", "0", "--name", "mine"]
    words += ["--max-batch", "2", "--max-wait-ms", "5", "--max-requests", "7", "--timeout", "3"]
    words += ["--max-connections", "9", "--allowed-hosts", "A.example", "::2"]
    words += ["--allowed-hosts", "b.example"]
    assert main([*words, "--max-body-mb", "1.5", "--max-megapixels", "12"]) == 0
    (_, name), limits, listener, hosts, _ = served[0]
    assert name == "mine"
    assert (limits.max_batch, limits.max_wait, limits.max_requests) == (2, 0.005, 7)
    assert (limits.max_body, limits.max_pixels) == (1_500_000, 12_000_000)
    assert (limits.timeout, limits.max_connections) == (3, 9)
    assert hosts.names == {"a.example", "::2", "b.example", "127.0.0.1"}
    assert not hosts.addresses
    assert listener.fileno() == -1  # Closed again.


def test_listening_to_every_network_is_explained(tmp_path, served, capsys):
    make_export(tmp_path / "photos", "1")
    words = ["serve", str(tmp_path / "photos"), "--port", "0", "--host", "0.0.0.0"]
    assert main(words) == 0
    *_, hosts, _ = served[0]
    assert hosts.addresses
    said = capsys.readouterr().out
    assert said.startswith("0.0.0.0 listens to every network") and "--allowed-hosts" in said
    assert main([*words, "--allowed-hosts", "photos.example.com"]) == 0
    *_, hosts, _ = served[1]
    assert "photos.example.com" in hosts.names
    assert capsys.readouterr().out == ""


def test_a_model_file_is_exported_first(tmp_path, served, monkeypatch, capsys):
    import keras_maskrcnn.export

    def export(model, folder):
        make_export(Path(folder), "1")
        return Path(folder) / "1"

    monkeypatch.setattr(serve, "load_model", lambda path, weights_file: f"model of {path}")
    monkeypatch.setattr(keras_maskrcnn.export, "export_model", export)
    file = tmp_path / "best.keras"
    assert main(["serve", str(file), "--port", "0"]) == 0
    assert capsys.readouterr().out == f"exporting {file} into a temporary folder first\n"
    (folder, name), *_ = served[0]
    assert (folder.name, name) == ("1", "best")
    assert not folder.exists()


def error_of(words, capsys):
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith("maskrcnn serve: error: ") and error.count("\n") == 1
    return error


def test_errors_are_one_line(tmp_path, served, capsys):
    error = error_of(["serve", str(tmp_path / "no.keras"), "--port", "0"], capsys)
    assert "Expected a model file (.keras) or a run folder" in error
    make_export(tmp_path, "1")
    words = ["serve", str(tmp_path)]
    assert "Received: 'a/b'" in error_of([*words, "--name", "a/b"], capsys)
    assert "Received: max_batch=0" in error_of([*words, "--max-batch", "0"], capsys)
    error = error_of([*words, "--max-requests", "300"], capsys)
    assert "must be above max_requests=300. Received: max_connections=256" in error
    error = error_of([*words, "--port", "0", "--allowed-hosts", "http://a.example"], capsys)
    assert "Received: 'http://a.example'" in error
    assert "port 70000" in error_of([*words, "--port", "70000"], capsys)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        error = error_of([*words, "--port", str(port)], capsys)
    assert f"cannot listen on 127.0.0.1 port {port}: " in error
    assert served == []


def test_not_an_export(tmp_path, capsys):
    make_export(tmp_path, "1")
    error = error_of(["serve", str(tmp_path), "--port", "0"], capsys)
    assert f"Expected a SavedModel of `maskrcnn export` in {tmp_path / '1'}" in error


def test_missing_packages_are_named(tmp_path, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.startswith("keras_maskrcnn.serving.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert 'pip install "maskrcnn-keras[serving]"' in error_of(["serve", str(tmp_path)], capsys)
