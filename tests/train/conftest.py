"""What tests of training share: sums over one thread, and the run that nothing disturbs."""

from collections.abc import Iterator

import pytest
import torch

from minillm.train.trainer import pretrain
from tests.train.tiny import losses, rests, tiny_config, tiny_run, weights


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As in the processes that are killed: sums over several threads may round otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[list, bytes]:
    """The loss curve and the weights of a run that nothing disturbs, nor reads ahead."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    run = tiny_run(tmp_path_factory.mktemp("straight"))
    artifact = pretrain(tiny_config(run), run, evaluate=rests)
    torch.set_num_threads(before)
    return losses(run), weights(artifact)
