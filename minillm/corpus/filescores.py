"""What the readers and steps find of what was planted in papers and files of source code.

In: files with their truth. Out: `Row`s. The files are written, read back, and asked for their
licence; only then is the truth looked at. A row has no bar: forms and disguises are ours.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from minillm.corpus.dirty.files import FILE_FAULTS, OPEN_HEADERS, DirtyFile
from minillm.corpus.opening import Defaults
from minillm.corpus.pipeline import LICENCES
from minillm.corpus.quality import allowed_licence
from minillm.corpus.readers import read_file
from minillm.corpus.scores import Row, hits
from minillm.corpus.sources import Document, Rejection

OPEN_LICENCES = (*LICENCES, *OPEN_HEADERS)
SOURCE, PAPER_FORMATS = "files", (".tex", ".xml")


def read_back(files: Sequence[DirtyFile]) -> list[tuple[DirtyFile, Document | Rejection]]:
    """Each file as its reader gives it; a paper in LaTeX cannot name a licence, and gets one."""
    found = []
    with TemporaryDirectory() as folder:
        for each in files:
            path = Path(folder) / each.name
            path.write_text(each.content, encoding="utf-8")
            licence = "CC0-1.0" if path.suffix == ".tex" else "unknown"
            (result,) = read_file(path, Defaults(source=SOURCE, licence=licence, language="en"))
            found.append((each, result))
    return found


def file_rows(files: Sequence[DirtyFile]) -> Iterable[Row]:
    """By fault what its step finds; and of the papers, how many are read to the letter."""
    is_open, rejected, exact = allowed_licence(OPEN_LICENCES), defaultdict(Counter), []
    for file, result in read_back(files):
        is_exact = isinstance(result, Document) and result.text == file.clean_text
        exact += [is_exact] if Path(file.name).suffix in PAPER_FORMATS else []
        result = is_open(result) if isinstance(result, Document) else result
        if isinstance(result, Rejection):
            rejected[result.step][file.name] += 1
    for fault in FILE_FAULTS:
        true = Counter(file.name for file in files if file.fault == fault)
        yield Row(f"files: {fault}", true.total(), hits(rejected[fault], true))
    kept = sum(exact) / max(1, len(exact))
    yield Row("files: papers read to the letter", len(exact), {"kept": kept})
