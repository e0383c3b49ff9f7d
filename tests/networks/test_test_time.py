from __future__ import annotations

import pytest
import torch

from labelmine.errors import ConfigError
from labelmine.labelers.prediction import predict
from labelmine.networks import RememberedLooks, Student, TestTimeAverage, probabilities


@pytest.fixture(scope="module", params=[False, True], ids=["independent", "exclusive"])
def student(request: pytest.FixtureRequest) -> Student:
    torch.manual_seed(0)
    return Student(["a", "b"], "mobilenet_v2", exclusive=request.param).eval()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def test_it_is_the_mean_over_all_flips_and_turns(student: Student, images: torch.Tensor) -> None:
    found = []
    with torch.no_grad():
        for transposed in (False, True):  # the same eight views, made another way
            for dims in ((), (-1,), (-2,), (-2, -1)):
                view = (images.mT if transposed else images).flip(dims)
                answer = probabilities(student(view), student.exclusive).flip(dims)
                found.append(answer.mT if transposed else answer)
    mean = torch.stack(found).mean(0)
    averaged = probabilities(TestTimeAverage(student)(images), student.exclusive)
    torch.testing.assert_close(averaged, mean, atol=1e-5, rtol=1e-4)
    assert (found[0] - mean).abs().max() > 1e-3, "one look is not the mean"


def test_a_turned_image_gets_the_turned_answer(student: Student, images: torch.Tensor) -> None:
    average = TestTimeAverage(student)
    turned = average(torch.rot90(images, 1, (-2, -1)).flip(-1))
    torch.testing.assert_close(turned, torch.rot90(average(images), 1, (-2, -1)).flip(-1), atol=1e-3, rtol=1e-3)


def test_a_student_in_training_comes_back_in_training(student: Student, images: torch.Tensor) -> None:
    before = {name: value.clone() for name, value in student.state_dict().items()}
    student.train()
    first = predict(TestTimeAverage(student), {"image": images}, student.exclusive)
    assert student.training
    student.eval()
    assert torch.equal(predict(TestTimeAverage(student), {"image": images}, student.exclusive), first)
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())


@pytest.mark.parametrize("mean", [False, True])
def test_looks_are_remembered_whichever_answer_counts(student: Student, images: torch.Tensor, mean: bool) -> None:
    looks = RememberedLooks(student, mean)
    with pytest.raises(ConfigError, match="got none"):
        looks.mean_and_spread()
    with torch.no_grad():
        answer, plain, average = looks(images), student(images), TestTimeAverage(student)(images)
    assert torch.equal(answer, average if mean else plain)
    seen, spread = looks.mean_and_spread()
    torch.testing.assert_close(seen, probabilities(average, student.exclusive), atol=1e-5, rtol=1e-4)
    views = [images, images.flip(-1), images.flip(-2), images.flip(-2, -1)]
    with torch.no_grad():
        flips = [probabilities(student(view), student.exclusive) for view in views]
    turned = [flips[0], flips[1].flip(-1), flips[2].flip(-2), flips[3].flip(-2, -1)]
    assert spread.shape == seen.shape
    assert (spread >= (torch.stack(turned) - seen).abs().amax(0) / 8**0.5 - 1e-5).all()
    assert 0 < spread.max() <= 0.5
