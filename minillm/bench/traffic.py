"""What a kernel moves and multiplies, counted while Triton's interpreter runs it.

The interpreter performs each load, store and matrix product by a call, so one can listen in. What
is counted are the bytes of cells that a mask lets through, each as often as it is moved: what a
GPU's cache would hold is counted again. Products count the padding of their tiles too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from triton.runtime.interpreter import TensorHandle, interpreter_builder


@dataclass
class Traffic:
    """Bytes read and written, and the operations of matrix products (2 for each multiply-add)."""

    read_bytes: int = 0
    written_bytes: int = 0
    operations: int = 0
    products: int = 0

    @property
    def bytes(self) -> int:
        """Both directions."""
        return self.read_bytes + self.written_bytes


@contextmanager
def counted_traffic() -> Iterator[Traffic]:
    """Within this every interpreted kernel adds to the count."""
    traffic, builder = Traffic(), interpreter_builder
    load, store, dot = builder.create_masked_load, builder.create_masked_store, builder.create_dot

    def counted_load(cells: TensorHandle, mask: TensorHandle, *rest: object) -> TensorHandle:
        element_bytes = cells.get_element_ty().primitive_bitwidth // 8
        traffic.read_bytes += int(mask.data.sum()) * element_bytes
        return load(cells, mask, *rest)

    def counted_store(
        cells: TensorHandle, tile: TensorHandle, mask: TensorHandle, *rest: object
    ) -> None:
        element_bytes = cells.get_element_ty().primitive_bitwidth // 8
        traffic.written_bytes += int(mask.data.sum()) * element_bytes
        store(cells, tile, mask, *rest)

    def counted_dot(a: TensorHandle, b: TensorHandle, *rest: object) -> TensorHandle:
        traffic.operations += 2 * a.data.size * b.data.shape[-1]
        traffic.products += 1
        return dot(a, b, *rest)

    listening = {"masked_load": counted_load, "masked_store": counted_store, "dot": counted_dot}
    for name, function in listening.items():
        setattr(builder, f"create_{name}", function)
    try:
        yield traffic
    finally:
        for name in listening:
            delattr(builder, f"create_{name}")
