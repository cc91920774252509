"""A small simulated world that writes stories and knows the truth about them."""

from minillm.corpus.storyworld.checker import SentenceVerdict as SentenceVerdict
from minillm.corpus.storyworld.checker import StoryReport as StoryReport
from minillm.corpus.storyworld.checker import check_story as check_story
from minillm.corpus.storyworld.questions import Question as Question
from minillm.corpus.storyworld.stories import Story as Story
from minillm.corpus.storyworld.stories import tell_story as tell_story
