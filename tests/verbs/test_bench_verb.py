"""What a bench is handed: the report's sets where it judges the report's pages."""

import pytest

from minillm.__main__ import parser
from minillm.verbs.bench import given_to
from minillm.verbs.corpus import evaluation_sets


@pytest.mark.parametrize("what", ["duplicates", "language"])
def test_benches_of_the_dirty_web_are_handed_the_report_s_sets(what: str) -> None:
    assert given_to(parser().parse_args(["bench", what])) == {"sets": evaluation_sets()}


def test_other_benches_are_handed_nothing() -> None:
    assert given_to(parser().parse_args(["bench", "world"])) == {}
