"""A small simulated world that writes stories and knows the truth about them."""

from minillm.corpus.storyworld.questions import Question as Question
from minillm.corpus.storyworld.tell import Story as Story
from minillm.corpus.storyworld.tell import tell_story as tell_story
