"""Texts to train on; awkward strings to try are those of `minillm.bench.fuzz`."""

import argparse
import ast
import inspect
import typing

from minillm.corpus.storyworld import tell_story

LINES = (
    "Ein Vögelchen saß im Schnee, und 1.234 Flocken fielen.\n",
    "Девочка нашла ключ, и мальчик сказал: «Спасибо!»\n",
    "女孩在市场上找到了一把钥匙。男孩很高兴。\n",
    "لقد وجدت الفتاة المفتاح في السوق.\n",
    "def add(left: int, right: int) -> int:\n    return left + right  # it's 2 + 2\n\n",
    "aaaa aaa aa a baaab abab ababab ======== ---- ....\n",
)


def training_texts(num_stories: int = 150) -> list[str]:
    """Stories of all levels, with other languages, code and long runs after them."""
    stories = [tell_story(seed, 1 + seed % 3).text + "\n" for seed in range(num_stories)]
    return stories + [line for line in LINES for _ in range(10)]


def larger_training_texts() -> list[str]:
    """The same and some of Python's own source code: enough for thousands of merges."""
    modules = (argparse, ast, inspect, typing)
    return training_texts() + [inspect.getsource(module) for module in modules]
