"""A made-up web that is dirty in known ways: pages, and the truth about each of them."""

from minillm.corpus.dirty.copies import NUM_LEAKED_STORIES as NUM_LEAKED_STORIES
from minillm.corpus.dirty.damage import damage as damage
from minillm.corpus.dirty.site import SITES as SITES
from minillm.corpus.dirty.site import wrap_page as wrap_page
from minillm.corpus.dirty.web import FAULTS as FAULTS
from minillm.corpus.dirty.web import DirtyPage as DirtyPage
from minillm.corpus.dirty.web import make_dirty_web as make_dirty_web
