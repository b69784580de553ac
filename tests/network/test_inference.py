"""A case as the network sees it: made once, for each way in which a profile has it seen."""

import dataclasses
import gc
import weakref

import numpy as np
from cases import random_case
from networks import small_model

from napari_ies.network.inference import network_input

SHAPE = (12, 8, 14)


def test_an_input_is_made_once_and_kept_no_longer_than_its_case():
    model, case = small_model(), random_case(SHAPE)
    made = network_input(model, case)
    assert network_input(model, case) is made
    gone = weakref.ref(case)
    del case
    gc.collect()
    assert gone() is None


def test_another_orientation_or_normalisation_is_another_input():
    model, case = small_model(), random_case(SHAPE, affine=np.eye(4))
    made = network_input(model, case)
    turned = model.with_profile(dataclasses.replace(model.profile, orientation="LAS"))
    np.testing.assert_array_equal(network_input(turned, case), made.numpy()[:, ::-1])
    plain = model.with_profile(dataclasses.replace(model.profile, normalisation="none"))
    np.testing.assert_array_equal(network_input(plain, case), case.data)
    assert network_input(model, case) is made
