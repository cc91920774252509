"""Solution of chapter 01, 01.11: one decision on many shards. It belongs to notebook 01h."""


def shared_lines(shards: list[list[str]], min_pages: int) -> list[str]:
    """The lines that at least `min_pages` pages have, over all shards together, sorted.

    A shard is a list of pages, a page its lines with a line break between. However the pages are
    dealt out, the answer is that of a single shard which holds all of them:
    `shared_lines([["cookies\\nhens"], ["cookies\\npeas"]], 2)` is `["cookies"]`.
    """
    total: dict[str, int] = {}
    for pages in shards:
        for page in pages:
            for line in set(page.split("\n")):
                total[line] = total.get(line, 0) + 1
    return sorted(line for line, count in total.items() if count >= min_pages)
