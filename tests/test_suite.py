"""The suite runs every test file once, and says so when something is wrong."""

import pytest
import suite


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of two groups, one of them with a file that runs by itself."""
    (tmp_path / "ops").mkdir()
    (tmp_path / "models").mkdir()
    (tmp_path / "pytest.ini").write_text("[pytest]")
    for name in ("ops/test_a.py", "ops/test_b.py", "models/test_c.py"):
        (tmp_path / name).write_text("def test_some():\n    pass\n")
    # A process that tells no peak holds nothing.
    (tmp_path / "conftest.py").write_text(
        "def pytest_terminal_summary(terminalreporter):\n"
        "    terminalreporter.write_line('peak memory: 12 MB')\n"
    )
    monkeypatch.setattr(suite, "TESTS", tmp_path)
    return tmp_path


def test_every_file_is_in_one_group():
    groups = suite.find_groups(suite.TESTS)
    files = [path for group in groups.values() for path in group]
    assert sorted(files) == sorted(suite.TESTS.rglob("test_*.py"))
    assert len(groups["weights/test_loading.py"]) == 1 < len(groups["serving"])
    assert len(groups["models with a trained one"]) == 2
    assert set(list(groups)[:9]) == {
        "models",
        "models/test_distribution.py",
        "models/test_presets.py",
        "models with a trained one",
        "models in training",
        "parity/test_parity.py",
        "export",
        "export/test_variants.py",
        "serving",
    }


def test_all_well(folder, capsys):
    assert suite.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sorted(line.split()[0] for line in lines[:2]) == ["layers", "models"]
    assert sorted(lines[:2])[0].endswith("12 MB  2 passed")
    assert lines[2].startswith("3 passed in")


@pytest.mark.parametrize("content", ["def test_some():\n    assert 0\n", "def test_some(:\n"])
def test_a_failure_fails_and_is_printed(folder, capsys, content):
    (folder / "ops" / "test_b.py").write_text(content)
    assert suite.main([]) == 1
    output = capsys.readouterr().out
    assert content.splitlines()[-1] in output
    assert "FAILED: layers (exit code" in output


def test_a_process_over_the_limit_is_told(folder, capsys, monkeypatch):
    monkeypatch.setattr(suite, "MEMORY_LIMIT_MB", 11)
    assert suite.main(["layers"]) == 0
    assert "more than the 11 MB" in capsys.readouterr().out


def test_the_slowest_are_told(folder, capsys):
    content = "import time\n\ndef test_long():\n    time.sleep(0.6)\n"
    (folder / "ops" / "test_b.py").write_text(content)
    assert suite.main([]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "test_long (call)" in line]
    assert line.split()[:2] == ["1", "s"] and line.endswith("test_b.py::test_long (call)")


def test_slow_ones_are_apart(folder, capsys):
    content = "import pytest\n\n@pytest.mark.slow\ndef test_slow():\n    assert False\n"
    (folder / "ops" / "test_b.py").write_text(content)
    assert suite.main([]) == 0
    assert suite.main(["--slow", "layers"]) == 1
    assert "test_slow" in capsys.readouterr().out


def test_no_tests_fail(folder, capsys):
    assert suite.main(["nothing of this name"]) == 1
    assert "FAILED: no test ran" in capsys.readouterr().out
