"""What the benchmark of the compiled step counts, on a few lines of HLO."""

from pathlib import Path

import pytest

HLO = """HloModule jit_several, is_scheduled=true

%fused_relu (p: bf16[4,8]) -> bf16[4,8] {
  %p = bf16[4,8]{1,0} parameter(0)
  ROOT %maximum = bf16[4,8]{1,0} maximum(%p, %p)
}

%body (arg: (s32[], bf16[4,3], bf16[3,8])) -> (s32[], bf16[4,3], bf16[3,8]) {
  %arg = (s32[], bf16[4,3]{1,0}, bf16[3,8]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%arg), index=0
  %x = bf16[4,3]{1,0} get-tuple-element(%arg), index=1
  %w = bf16[3,8]{1,0} get-tuple-element(%arg), index=2
  %conv.1 = (bf16[4,8]{1,0}, u8[16]{0}) custom-call(%x, %w), custom_call_target="__cudnn$convForward", metadata={op_name="jit(several)/conv"}
  %y = bf16[4,8]{1,0} get-tuple-element(%conv.1), index=0
  %loop_convert_fusion.2 = bf16[4,8]{1,0} fusion(%y), kind=kLoop, calls=%fused_relu
  %input_reduce_fusion = (f32[8]{0}, f32[8]{0}) fusion(%y, %loop_convert_fusion.2), kind=kInput, calls=%fused_relu
  %copy.3 = bf16[4,3]{1,0} copy(%x)
  ROOT %tuple = (s32[], bf16[4,3]{1,0}, bf16[3,8]{1,0}) tuple(%i, %copy.3, %w)
}

ENTRY %main (a: bf16[4,3]) -> bf16[4,3] {
  %a = bf16[4,3]{1,0} parameter(0)
  %while.1 = (s32[], bf16[4,3]{1,0}) while(%a), condition=%end, body=%body, backend_config={"known_trip_count":{"n":"32"}}
  ROOT %got = bf16[4,3]{1,0} get-tuple-element(%while.1), index=1
}
"""  # noqa: E501


@pytest.fixture
def traffic(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import _hlo_traffic

    return _hlo_traffic


def test_the_kernels_of_a_loops_body_and_their_bytes(traffic):
    found = [(kernel.name, kernel.kind, kernel.bytes) for kernel in traffic.kernels_of(HLO)]
    x, w, y = 2 * 4 * 3, 2 * 3 * 8, 2 * 4 * 8
    assert found == [
        ("conv.1", "convolution", x + w + y + 16),
        ("loop_convert_fusion.2", "elementwise", 2 * y),
        ("input_reduce_fusion", "reduction", 2 * y + 2 * 4 * 8),
        ("copy.3", "copy", 2 * x),
    ]
    assert traffic.kernels_of(HLO)[0].source == "jit(several)/conv"
    assert traffic.by_kind(traffic.kernels_of(HLO))["copy"] == (1, 2 * x)
    assert next(iter(traffic.by_kind(traffic.kernels_of(HLO)))) == "reduction"


@pytest.mark.parametrize(
    ("shapes", "expected"), [("f32[]", 4), ("(pred[3], s64[2,2], bf16[2,2]{1,0:T(8,128)})", 43), ("token[]", 0)]
)
def test_bytes_of_a_type(traffic, shapes, expected):
    assert traffic.n_bytes(shapes) == expected


def test_a_loop_of_known_length_does_not_wait_for_the_host(traffic):
    assert not traffic.waits_for_host(HLO)
    assert traffic.waits_for_host(HLO.replace('"known_trip_count"', '"other"'))


def test_exchanges_between_devices(traffic):
    lines = """
  %all-reduce.2 = (f32[64]{0:T(128)}, f32[2,4]{1,0}) all-reduce(%a, %b), replica_groups=[1,8]<=[8], to_apply=%add
  %all-reduce-start = f32[8]{0} all-reduce-start(%c), to_apply=%add
  %all-reduce-done = f32[8]{0} all-reduce-done(%all-reduce-start)
  %all-gather.1 = bf16[16,2]{1,0} all-gather(%d), dimensions={0}
  %all-gather-start.2 = (f32[4]{0}, f32[32]{0}) all-gather-start(%e), dimensions={0}
  %all-gather-done.2 = f32[32]{0} all-gather-done(%all-gather-start.2)
  %fusion = f32[8]{0} fusion(%all-reduce-done), kind=kLoop, calls=%fused
"""
    assert traffic.collectives_of(lines) == {"all-reduce": (2, 4 * (64 + 8 + 8)), "all-gather": (2, 64 + 128)}
