"""Whether a model fits a machine, by numbers; and what a real header says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from acp_agent.engine.machine import Gpu, Machine, look, parse_nvidia
from acp_agent.engine.order import Order
from acp_agent.engine.preflight import Plan, Wanted, plan
from acp_agent.engine.shape import Cache, Shape, read_shape
from acp_agent.engine.spec import EngineSpec
from acp_agent.models.advice import memory_advice
from acp_agent.models.base import InstallFailed

GIB = 1 << 30
# gpt-oss-20b: 24 layers, every second with a window of 128; 8 key heads of 64.
SHAPE = Shape("gpt-oss-20b.gguf", 12_109_566_560, 24, 12, 512, 512, 128, 131_072)
CLOSE = "close memory-intensive apps (browsers, dev tools)"


def machine(total: float, available: float, *gpus: Gpu) -> Machine:
    return Machine(int(total * GIB), int(available * GIB), 8, gpus)


def test_a_roomy_machine_gets_the_usual_context() -> None:
    assert plan(SHAPE, machine(64, 50), Wanted()) == Plan(32_768)


def test_what_was_asked_for_is_given_where_it_fits() -> None:
    assert plan(SHAPE, machine(64, 50), Wanted(131_072)) == Plan(131_072)
    assert plan(SHAPE, machine(64, 50), Wanted(384)) == Plan(384)


def test_more_than_the_model_knows_is_cut_and_said() -> None:
    assert plan(SHAPE, machine(64, 50), Wanted(200_000)) == Plan(
        131_072, ("the context is 131072 tokens instead of 200000: the model has no more",)
    )


def test_a_machine_that_is_too_small_is_refused() -> None:
    assert plan(SHAPE, machine(12, 11), Wanted()) == Plan(
        0,
        refusal="gpt-oss-20b.gguf needs 12.2 GiB of memory, this machine has 12.0 GiB; use smaller"
        " weights (a quantisation with fewer bits), or an engine on another machine (GPT_OSS_URL)",
    )


def test_a_machine_that_is_too_busy_is_refused() -> None:
    assert plan(SHAPE, machine(16, 3.5), Wanted()) == Plan(
        0,
        refusal="gpt-oss-20b.gguf needs 12.2 GiB of memory, only 3.5 GiB of 16.0 GiB are free;"
        f" {CLOSE} and try again",
    )


def test_less_free_memory_means_less_context() -> None:
    found = plan(SHAPE, machine(24, 13.5), Wanted(131_072))
    assert found == Plan(
        63_488,
        (
            "the context is 63488 tokens instead of 131072: gpt-oss-20b.gguf and more do not fit"
            f" into the 13.5 GiB of memory that are free; {CLOSE}, or set GPT_OSS_CACHE_TYPE_K and"
            " _V to q8_0",
        ),
    )
    assert SHAPE.need(63_488, Cache()) <= 13.5 * GIB < SHAPE.need(64_512, Cache())


def test_smaller_values_leave_room_for_more_context() -> None:
    cache = Cache(type_k="q8_0", type_v="q8_0")
    assert plan(SHAPE, machine(24, 13.5), Wanted(131_072, cache)).context > 110_000


def test_weights_that_are_not_free_yet_are_loaded_with_a_warning() -> None:
    found = plan(SHAPE, machine(16, 6), Wanted())
    assert (found.context, found.refusal) == (8192, "")
    assert found.warnings[1] == (
        f"gpt-oss-20b.gguf needs 12.2 GiB of memory, 6.0 GiB are free; it will be slow: {CLOSE}"
    )


def test_a_model_that_fills_the_machine_is_loaded_with_a_warning() -> None:
    assert plan(SHAPE, machine(16, 14), Wanted()) == Plan(
        32_768,
        (
            "gpt-oss-20b.gguf takes 12.8 GiB of 16.0 GiB of memory; smaller weights would leave"
            " more to other programs",
        ),
    )


def test_a_graphics_processor_takes_its_part() -> None:
    gpu = Gpu("NVIDIA RTX 4080", 16 * GIB, 15 * GIB)
    assert plan(SHAPE, machine(8, 5, gpu), Wanted()) == Plan(32_768)
    assert plan(SHAPE, machine(8, 1, gpu), Wanted()).refusal
    assert (
        "and 2.0 GiB (small)"
        in plan(SHAPE, machine(8, 7, Gpu("small", 2 * GIB, 0)), Wanted()).refusal
    )


def test_what_a_mac_does_not_let_its_graphics_processor_take_is_said() -> None:
    def warnings(total: float, available: float) -> tuple[str, ...]:
        there = replace(machine(total, available), unified=True)
        return plan(SHAPE, there, Wanted()).warnings

    assert warnings(16, 14)[-1] == (
        "the graphics processor may take 10.7 GiB of 16.0 GiB, gpt-oss-20b.gguf needs 12.8 GiB; the"
        " processor computes the rest, more slowly"
    )
    assert warnings(24, 16) == warnings(36, 20) == ()


def test_what_was_said_long_ago_is_kept_in_what_is_free_only(tmp_path: Path) -> None:
    model = tmp_path / "m.gguf"
    with model.open("wb") as file:
        file.truncate(12 * GIB)
    order = Order(EngineSpec(model), 8192, 1, "", model)
    kept = [replace(order, spare=spare).prompt_cache for spare in (4 * GIB, GIB, 0)]
    assert kept == [1536, 1024, 128]


@pytest.mark.parametrize("total", [12.5, 13.0, 13.7, 14.9, 16, 24])
def test_what_the_engine_would_refuse_is_not_downloaded(total: float) -> None:
    there = machine(total, total - 1)
    refused = plan(SHAPE, there, Wanted()).refusal != ""
    try:
        advice = memory_advice(SHAPE.weights, 16_000_000_000, there)
    except InstallFailed as error:
        assert refused
        assert "too little for 12.1 GB of weights" in str(error)
    else:
        assert (refused, advice) == (False, "")
    gpu = Gpu("NVIDIA RTX 4080", 16 * GIB, 15 * GIB)
    assert memory_advice(SHAPE.weights, 16_000_000_000, machine(8, 5, gpu)) == ""


def test_a_small_model_fits_a_small_machine() -> None:
    small = Shape("small.gguf", 60 << 20, 4, 2, 64, 64, 128, 131_072)
    assert plan(small, machine(1, 0.5), Wanted()) == Plan(32_768)


def test_a_header_without_numbers_is_judged_by_the_size_of_its_file() -> None:
    assert plan(Shape("m.gguf", 20 * GIB), machine(64, 50), Wanted()) == Plan(32_768)
    assert plan(Shape("m.gguf", 20 * GIB), machine(16, 15), Wanted()).refusal


def test_the_header_of_the_demo_weights_is_read(nano: Path) -> None:
    assert read_shape(nano) == Shape(nano.name, nano.stat().st_size, 4, 2, 64, 64, 128, 131_072)
    assert plan(read_shape(nano), look(), Wanted(4096)) == Plan(4096)


def test_all_parts_of_a_split_model_count(nano: Path, tmp_path: Path) -> None:
    first = tmp_path / "m-00001-of-00002.gguf"
    first.write_bytes(nano.read_bytes())
    (tmp_path / "m-00002-of-00002.gguf").write_bytes(bytes(1000))
    (tmp_path / "n-00002-of-00002.gguf").write_bytes(bytes(9))
    assert read_shape(first).weights == nano.stat().st_size + 1000


@pytest.mark.parametrize("size", [0, 3, 4, 20, 60, 200])
def test_half_a_header_is_told_apart(nano: Path, tmp_path: Path, size: int) -> None:
    path = tmp_path / "half.gguf"
    path.write_bytes(nano.read_bytes()[:size])
    with pytest.raises(ValueError, match=r"cut off|not a GGUF|empty file"):
        read_shape(path)


def test_this_machine_has_memory() -> None:
    found = look(gpus=True)
    assert 0 < found.available <= found.total
    assert 0 < found.pressure < 1
    assert found.cores >= 1


def test_what_nvidia_smi_lists_is_read() -> None:
    text = "NVIDIA H200, 143771, 143158\nSome, odd name, 100, 50\nNVIDIA GB10, [N/A], [N/A]\n\nx\n"
    assert parse_nvidia(text) == (
        Gpu("NVIDIA H200", 143_771 << 20, 143_158 << 20),
        Gpu("Some, odd name", 100 << 20, 50 << 20),
    )
