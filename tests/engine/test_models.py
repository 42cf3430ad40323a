"""Which weights on the disk are taken."""

from __future__ import annotations

from pathlib import Path

from acp_agent.engine.models import find_model, model_directories


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def test_the_reference_weights_come_before_other_quantisations(tmp_path: Path) -> None:
    touch(tmp_path, "gpt-oss-20b-Q4_K_M.gguf", "gpt-oss-20b-Q4_0.gguf", "gpt-oss-20b-mxfp4.gguf")
    assert find_model([tmp_path]) == tmp_path / "gpt-oss-20b-mxfp4.gguf"


def test_the_documented_order_decides_between_other_quantisations(tmp_path: Path) -> None:
    touch(tmp_path, "gpt-oss-20b-Q4_K_M.gguf", "gpt-oss-20b-Q2_K.gguf", "gpt-oss-20b-Q3_K_S.gguf")
    assert find_model([tmp_path]) == tmp_path / "gpt-oss-20b-Q3_K_S.gguf"


def test_other_models_and_later_parts_are_not_taken(tmp_path: Path) -> None:
    touch(tmp_path, "llama-3.gguf", "gpt-oss-120b-mxfp4-00002-of-00003.gguf", "gpt-oss-20b.txt")
    assert find_model([tmp_path]) is None


def test_the_first_part_stands_for_a_split_model(tmp_path: Path) -> None:
    first = "gpt-oss-120b-mxfp4-00001-of-00003.gguf"
    touch(tmp_path, first, "gpt-oss-120b-mxfp4-00002-of-00003.gguf")
    assert find_model([tmp_path]) == tmp_path / first


def test_a_missing_directory_is_passed_over(tmp_path: Path) -> None:
    touch(tmp_path / "b", "gpt-oss-20b-Q4_0.gguf")
    found = find_model([tmp_path / "a", tmp_path / "b"])
    assert found == tmp_path / "b" / "gpt-oss-20b-Q4_0.gguf"


def test_a_directory_named_by_the_user_replaces_the_usual_ones(home: Path) -> None:
    assert model_directories("~/weights") == (home / "weights",)
    assert model_directories("")[0] == home / "models/gpt-oss-20b/gguf"
