"""What tests of training share: the run that nothing disturbs."""

import pytest

from minillm.train.trainer import pretrain
from tests.train.tiny import losses, rests, tiny_config, tiny_run, weights


@pytest.fixture(scope="module")
def uninterrupted(
    tmp_path_factory: pytest.TempPathFactory, one_thread: None
) -> tuple[list, bytes]:
    """The loss curve and the weights of a run that nothing disturbs, nor reads ahead."""
    run = tiny_run(tmp_path_factory.mktemp("straight"))
    artifact = pretrain(tiny_config(run), run, evaluate=rests)
    return losses(run), weights(artifact)
