"""Features are normalised as scikit-learn would, by statistics that travel with the head."""

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler

from ichtune.models.heads import LinearHeads
from ichtune.models.heads.normalization import Normalization

FEATURES = np.random.default_rng(0).normal(3, 2, (50, 4)).astype(np.float32)


def test_standard_is_what_scikit_learn_does():
    normalization = Normalization("standard", 4, 2)
    normalization.set_statistics(1, map(torch.from_numpy, np.split(FEATURES, [7, 30])))
    expected = StandardScaler().fit(FEATURES[:50]).transform(FEATURES[:5])
    np.testing.assert_allclose(normalization.one(1, torch.from_numpy(FEATURES[:5])), expected, rtol=1e-4)
    assert normalization.lacks_statistics(0)
    assert not normalization.lacks_statistics(1)


def test_a_constant_feature_is_only_centred():
    normalization = Normalization("standard", 1, 1)
    normalization.set_statistics(0, [torch.full((9, 1), 7.0)])
    assert normalization.one(0, torch.tensor([[7.0], [9.0]])).flatten().tolist() == [0, 2]


def test_layer_gives_each_slice_mean_0_and_deviation_1():
    found = Normalization("layer", 4, 1).one(0, torch.from_numpy(FEATURES))
    np.testing.assert_allclose(found.mean(1), 0, atol=1e-6)
    np.testing.assert_allclose(found.std(1, correction=0), 1, atol=0.01)


def test_dropout_follows_the_normalisation():
    heads = LinearHeads(4, [0], 0, "standard")
    heads.normalization.set_statistics(0, [torch.from_numpy(FEATURES)])
    nothing_left = heads(torch.from_numpy(FEATURES)[None], torch.zeros(1, 50, 4))
    torch.testing.assert_close(nothing_left[0], heads.weights[0][-1].expand(50, 6))
