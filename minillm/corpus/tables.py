"""Tables as documents: JSON lines, CSV and Parquet, each a stream of rows.

In: the stream of a file. Out: for each row a `Document`, or why there is none. The one idea: a row
is the same thing in all three forms, names with cells, and the shape of its columns (`hub.py`) says
what it is; only what can break differs. Left out: a JSON file that is one large list.
"""

import csv
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from minillm.corpus.hub import as_document, read_row, shape_of
from minillm.corpus.opening import (
    CHUNK_BYTES,
    DAMAGED,
    FORMATS_INSTALL,
    MAX_RECORD_BYTES,
    Defaults,
    Unusable,
    attempt,
    bounded_lines,
    is_damage,
    utf8_text,
)
from minillm.corpus.sources import Document

if TYPE_CHECKING:
    from pyarrow import RecordBatch

Row = Document | Unusable | None  # None: an empty line, which is counted all the same
SEPARATORS = {";": "a semicolon", "\t": "a tab", ",": "a comma", "|": "a bar"}
PARQUET_ROWS = 256  # held at a time: enough to be quick, few enough for long texts


# package only
def row_document(row: object, name: str, defaults: Defaults) -> Document:
    """A row as one text, whatever its shape."""
    if isinstance(row, Unusable):
        raise row
    if not isinstance(row, dict):
        raise Unusable("a line that is no JSON object", type(row).__name__, "an object")
    return as_document(read_row(row, name, defaults))


# package only
def json_document(line: bytes, name: str, defaults: Defaults) -> Document:
    """A line of JSON as a document."""
    text = utf8_text(line)
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unusable("not a JSON object", str(error), "an object") from None
    return row_document(row, name, defaults)


# package only
def read_json_rows(stream: BinaryIO, name: str, defaults: Defaults) -> Iterator[Row]:
    """One JSON object a line; empty lines are passed over."""
    for number, line in enumerate(bounded_lines(stream), start=1):
        if isinstance(line, Unusable):
            yield line
        else:
            place = f"{name}#{number}"
            yield attempt(json_document, line, place, defaults) if line.strip() else None


# package only
def read_csv(stream: BinaryIO, name: str, defaults: Defaults, sign: str = ",") -> Iterator[Row]:
    """A table with a head: one document a row, found by the name of its column."""
    faults: list[Unusable] = []

    def lines() -> Iterator[str]:
        for line in bounded_lines(stream):
            text = line if isinstance(line, Unusable) else attempt(utf8_text, line)
            if isinstance(text, Unusable):
                faults.append(text)
            else:
                yield text

    csv.field_size_limit(max(csv.field_size_limit(), MAX_RECORD_BYTES))
    rows = csv.reader(lines(), delimiter=sign)
    head, number = next(rows, []), 0
    check_separator(head, sign)
    shape_of(head, defaults.text_column)
    while True:
        try:
            cells = next(rows)
        except StopIteration:
            break
        except csv.Error as error:
            cells = Unusable("not a row of a table", str(error), "a row")
        yield from faults
        number += len(faults) + 1
        faults.clear()
        yield attempt(table_row, head, cells, f"{name}#{number}", defaults)
    yield from faults


# package only
def check_separator(head: list[str], sign: str) -> None:
    """ValueError for a head of one column that is several with another sign between them."""
    others = [each for each in SEPARATORS if each != sign and len(head) == 1 and each in head[0]]
    if others:
        remedy = "name it .tsv" if others[0] == "\t" else f"put {SEPARATORS[sign]} between them"
        remedy = "name it .csv" if others[0] == "," else remedy
        words = f"{SEPARATORS[others[0]]} stands between its columns, and not {SEPARATORS[sign]}"
        raise ValueError(f"its head is one column, {head[0]!r}: {words}; {remedy}")


# package only
def table_row(
    head: list[str], cells: list[str] | Unusable, name: str, defaults: Defaults
) -> Document:
    """The cells of a row under their names."""
    if isinstance(cells, Unusable):
        raise cells
    if len(cells) != len(head):
        raise Unusable("a row of another length than its head", len(cells), len(head))
    return row_document(dict(zip(head, cells, strict=True)), name, defaults)


# package only
def batch_rows(batch: "RecordBatch") -> Iterator[dict | Unusable]:
    """The rows of a batch; one whose text is not UTF-8 costs no other."""
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        for number in range(batch.num_rows):
            try:
                yield batch.slice(number, 1).to_pylist()[0]
            except UnicodeDecodeError as error:
                yield Unusable("not UTF-8", f"byte {error.start:,}", "UTF-8")


# package only
def read_parquet(stream: BinaryIO, name: str, defaults: Defaults) -> Iterator[Row]:
    """A Parquet file, some rows at a time; a damaged group of rows is one rejection."""
    try:
        import pyarrow
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise ImportError(f"{name}: Parquet needs pyarrow; {FORMATS_INSTALL}") from None
    try:
        table = ParquetFile(stream, buffer_size=CHUNK_BYTES, pre_buffer=False)
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"not a whole Parquet file ({error}); get it again") from None
    columns = table.schema_arrow.names
    shape_of(columns, defaults.text_column)
    number = 0
    for group in range(table.num_row_groups):
        try:
            for batch in table.iter_batches(PARQUET_ROWS, [group]):
                for row in batch_rows(batch):
                    number += 1
                    yield attempt(row_document, row, f"{name}#{number}", defaults)
        except (pyarrow.ArrowException, OSError) as error:
            if isinstance(error, OSError) and not is_damage(error):
                raise
            yield Unusable(f"{DAMAGED}: row group {group + 1}", str(error), "whole rows")


